#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#define PREFIX "rj-"

/* Signals that a thread causes itself. If blocked, they kill the process and skip its handler. */
static const int own_signals[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};

static void format_name(char ret[static THREAD_NAME_LEN], const char *fmt, va_list args)
{
    int len = snprintf(ret, THREAD_NAME_LEN, PREFIX);

    vsnprintf(ret + len, THREAD_NAME_LEN - (size_t)len, fmt, args);
}

static void *begin(void *arg)
{
    struct thread *t = arg;
    void *(*run)(void *) = t->run;
    void *run_arg = t->arg;

    pthread_setname_np(pthread_self(), t->name);
    return run(run_arg); /* which may free *t */
}

/* A thread inherits the signal mask of the thread that starts it. */
static int create(pthread_t *ret, struct thread *t, int state)
{
    pthread_attr_t attr;
    sigset_t mask, before;

    sigfillset(&mask);
    for (size_t i = 0; i < ARRAY_LEN(own_signals); i++)
        sigdelset(&mask, own_signals[i]);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, state);
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    int rc = pthread_create(ret, &attr, begin, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

static int start(pthread_t *ret, struct thread *t, int state, struct error *err, const char *fmt,
                 va_list args)
{
    format_name(t->name, fmt, args);
    errno = create(ret, t, state);
    return errno ? err_thread(err, "thread %s: cannot be started", t->name) : 0;
}

int thread_start(struct thread *t, void *(*run)(void *), void *arg, struct error *err,
                 const char *fmt, ...)
{
    va_list args;
    pthread_t id;

    *t = (struct thread){.run = run, .arg = arg};
    va_start(args, fmt);
    int rc = start(&id, t, PTHREAD_CREATE_JOINABLE, err, fmt, args);
    va_end(args);
    if (rc < 0)
        return -1;
    t->id = id;
    t->running = true;
    return 0;
}

int thread_start_detached(struct thread *t, void *(*run)(void *), void *arg, struct error *err,
                          const char *fmt, ...)
{
    va_list args;
    pthread_t id;

    *t = (struct thread){.run = run, .arg = arg};
    va_start(args, fmt);
    int rc = start(&id, t, PTHREAD_CREATE_DETACHED, err, fmt, args);
    va_end(args);
    return rc;
}

void thread_join(struct thread *t)
{
    if (t->running)
        pthread_join(t->id, NULL);
    t->running = false;
}

void thread_rename(const char *fmt, ...)
{
    char name[THREAD_NAME_LEN];
    va_list args;

    va_start(args, fmt);
    format_name(name, fmt, args);
    va_end(args);
    pthread_setname_np(pthread_self(), name);
}
