/*
 * base/thread.h: the one place where threads start.
 *
 * Each has a name, which top -H and a debugger show, and it takes no signal that is sent to the
 * process: those are for the program's own threads. Open are only the four that a thread raises
 * itself by what it does: SIGBUS, SIGSEGV, SIGFPE and SIGILL. What a thread's function needs
 * beyond that (a vCPU its kick) the function unblocks itself.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"

#define THREAD_NAME_LEN 16 /* the kernel's, with the 0 */

/* A thread's owner. Zeroed, there is none. It stays where it is while the thread runs. */
struct thread {
    pthread_t id; /* valid while `running` */
    bool running; /* started, and not joined yet */

    /* What the new thread reads before it calls its function. */
    char name[THREAD_NAME_LEN];
    void *(*run)(void *arg);
    void *arg;
};

/*
 * Starts run(arg) in a thread named "rj-" and the text, which is cut to fit: 12 characters. Fails
 * with "thread NAME: cannot be started: …", which tells a limit and what raises it.
 */
MUST_USE int thread_start(struct thread *t, void *(*run)(void *), void *arg, struct error *err,
                          const char *fmt, ...) PRINTF(5, 6);
/* The same for a thread that nobody joins. *t is no longer touched once `run` is called: `run` may
 * free it. */
MUST_USE int thread_start_detached(struct thread *t, void *(*run)(void *), void *arg,
                                   struct error *err, const char *fmt, ...) PRINTF(5, 6);
/* Returns when the thread has ended; at once where there is none. */
void thread_join(struct thread *t);

/* Gives the calling thread, one of ours, another name: its work is another from here on. */
void thread_rename(const char *fmt, ...) PRINTF(1, 2);
