/*
 * base/thread.h: the one place where threads start.
 *
 * Each thread has a name, which top -H and a debugger show. It takes no signal that is sent to the
 * process: those are for the program's own threads. Only the four signals that a thread causes by
 * its own faults are not blocked: SIGBUS, SIGSEGV, SIGFPE and SIGILL. If a thread's function needs
 * another signal (a vCPU needs its kick), it unblocks that signal itself.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"

#define THREAD_NAME_LEN 16 /* the kernel's limit, with the terminator */

/* The owner's handle of a thread. Zeroed: no thread. It must not move while the thread runs. */
struct thread {
    pthread_t id; /* valid while `running` */
    bool running; /* started, and not joined yet */

    /* The new thread reads these before it calls its function. */
    char name[THREAD_NAME_LEN];
    void *(*run)(void *arg);
    void *arg;
};

/*
 * Starts run(arg) in a thread named "rj-" and the text, which is cut to 12 characters. Fails with
 * "thread NAME: cannot be started: …"; if a limit is the cause, the text says how to raise it.
 */
MUST_USE int thread_start(struct thread *t, void *(*run)(void *), void *arg, struct error *err,
                          const char *fmt, ...) PRINTF(5, 6);
/* The same for a thread that nobody joins. `run` may free *t: nothing touches *t once `run` is
 * called. */
MUST_USE int thread_start_detached(struct thread *t, void *(*run)(void *), void *arg,
                                   struct error *err, const char *fmt, ...) PRINTF(5, 6);
/* Waits for the thread's end. Does nothing to a thread that was not started. */
void thread_join(struct thread *t);

/* Renames the calling thread, which is one of ours, because its work changes. */
void thread_rename(const char *fmt, ...) PRINTF(1, 2);
