/*
 * control/job.h: a migration, out or in: its engine, its thread, and which threads may call the
 * engine meanwhile. It does not know its VM; vm_migrate.c and vm_incoming.c say what the thread
 * does.
 *
 * An engine must not be called under the VM's lock, as it has locks of its own and calls back: so a
 * thread borrows the job, and the engine is freed when no thread has it.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/thread.h"
#include "migration/destination.h"
#include "migration/source.h"

/* The lock of a VM, which its jobs share. */
struct job_lock {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* something under the lock that other threads wait for */
};

struct tls_creds;

struct job {
    /* Set before the thread starts. */
    struct vm *vm; /* for its owner: nothing here looks into it */
    struct job_lock *lock;
    struct source *outgoing; /* one of these two; the other is NULL */
    struct destination *incoming;
    struct target *target;
    struct tls_creds *tls;
    bool exit_on_error;
    struct thread thread;

    /* Under the lock. */
    bool alive;                   /* until the engine is freed */
    bool open;                    /* other threads may call the engine */
    unsigned users;               /* threads that have borrowed the engine */
    bool asked;                   /* incoming: vm_incoming() waits until it listens */
    bool refused;                 /* incoming: it failed meanwhile; only vm_incoming() tells it */
    bool listens;                 /* incoming: it listens, or has its file open */
    bool arrived;                 /* incoming: the source is there */
    bool landed;                  /* incoming: the guest is here, some of its memory is not */
    bool cancelled;               /* by its user, who knows why */
    bool held;                    /* incoming: it is here, and nobody knows whether it may run */
    enum migration_status status; /* the last one that the engine told */
    struct error failure;         /* ERR_NONE: it has not failed */
    struct migration_snapshot last;
};

/* Under the lock. */
void job_wait(struct job_lock *l);
void job_changed(struct job_lock *l);

/* Alive and open, in setup; its engine and its thread are for the caller to add. NULL: failed. */
struct job *job_new(struct vm *vm, struct job_lock *lock, struct error *err);
/* Only before its thread starts or after the join, while no thread has borrowed it. NULL is fine.
 */
void job_free(struct job *job);

/* Keeps the engine from being freed until job_give_back(). NULL if no engine is open. */
struct job *job_borrow(struct job_lock *lock, struct job *const *which);
void job_give_back(struct job *job);
/* Cancels the migration, if there is one. Not under the lock. */
void job_cancel(struct job_lock *lock, struct job *const *which);
/* For a thread that has borrowed it, or runs it. */
void job_stats(const struct job *job, struct migration_snapshot *ret);

bool job_is_final(enum migration_status status);
/* Under the lock. A client that was told that a migration is over must find it over: waits until
 * the job has ended. */
void job_settle(struct job_lock *lock, struct job *const *which);
/* Under the lock. The old job is no longer alive: its thread takes no lock any more. */
void job_replace(struct job **which, struct job *by);

/* The thread's last call: keeps the statistics, and frees the engine once no other thread is in it.
 * None can enter it after that. Not under the lock. */
void job_close(struct job *job);
/* Cancels the migration, waits for its end and frees the job. Not under the lock. */
void job_finish(struct job_lock *lock, struct job **which);
