#include "tools/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/thread.h"

/*
 * Tells the watcher to end; ignored if it comes from outside. Not a real-time signal: the kernel
 * refuses those at the limit of pending signals.
 */
#define SIGNAL_END   SIGURG
#define SIGNAL_STATE SIGUSR1

/* Signals are sent to the process, so there is one watcher. */
static struct {
    void (*cancel)(void *arg);
    void *arg;
    void (*tell)(void *arg); /* NULL: SIGNAL_STATE means nothing */
    void *tell_arg;
    struct thread thread;
    atomic_bool ending; /* set before SIGNAL_END is sent */
} watcher;

static sigset_t mask_before; /* interrupt_block() */

/* A program that was started with a signal ignored (nohup, a shell's `&`) must not react to it.
 * sigwaitinfo() would return it: a blocked signal stays pending even if it is ignored. */
static void add_unless_ignored(sigset_t *set, int number)
{
    struct sigaction now;

    if (sigaction(number, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
        sigaddset(set, number);
}

static sigset_t signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    add_unless_ignored(&set, SIGINT);
    add_unless_ignored(&set, SIGTERM);
    add_unless_ignored(&set, SIGHUP);
    sigaddset(&set, SIGNAL_STATE);
    sigaddset(&set, SIGNAL_END);
    return set;
}

void interrupt_block(void)
{
    sigset_t set = signals();

    pthread_sigmask(SIG_BLOCK, &set, &mask_before);
}

/*
 * The next signal that ends the program, or SIGNAL_END if `ending` says that it is ours.
 * SIGNAL_STATE is answered meanwhile. The sender's identity does not tell: the kernel drops it at
 * the limit of pending signals.
 */
static int next_signal(const sigset_t *set)
{
    int number;

    for (;;) {
        number = sigwaitinfo(set, NULL);
        if (number == SIGNAL_STATE && watcher.tell)
            watcher.tell(watcher.tell_arg);
        if (number > 0 && number != SIGNAL_STATE &&
            (number != SIGNAL_END || atomic_load(&watcher.ending)))
            return number;
    }
}

static void *watch(void *arg)
{
    sigset_t set = signals();
    int number;

    (void)arg;
    if (next_signal(&set) == SIGNAL_END)
        return NULL;
    watcher.cancel(watcher.arg);
    number = next_signal(&set);
    if (number == SIGNAL_END)
        return NULL;
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
    return NULL;
}

void interrupt_tell(void (*tell)(void *arg), void *arg)
{
    watcher.tell = tell;
    watcher.tell_arg = arg;
}

int interrupt_start(void (*cancel)(void *arg), void *arg, struct error *err)
{
    watcher.cancel = cancel;
    watcher.arg = arg;
    atomic_store(&watcher.ending, false);
    return thread_start(&watcher.thread, watch, NULL, err, "signals");
}

void interrupt_stop(void)
{
    atomic_store(&watcher.ending, true);
    pthread_kill(watcher.thread.id, SIGNAL_END);
    thread_join(&watcher.thread);
    watcher.tell = NULL;
}

void interrupt_unblock(void)
{
    pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
}
