#include "control/job.h"

#include <stdlib.h>

#include "migration/credentials.h"

void job_wait(struct job_lock *l)
{
    pthread_cond_wait(&l->changed, &l->mutex);
}

void job_changed(struct job_lock *l)
{
    pthread_cond_broadcast(&l->changed);
}

/* --- who may call the engine ----------------------------------------------------------------- */

struct job *job_borrow(struct job_lock *lock, struct job *const *which)
{
    pthread_mutex_lock(&lock->mutex);
    struct job *job = *which;
    if (job && job->open)
        job->users++;
    else
        job = NULL;
    pthread_mutex_unlock(&lock->mutex);
    return job;
}

void job_give_back(struct job *job)
{
    pthread_mutex_lock(&job->lock->mutex);
    job->users--;
    job_changed(job->lock);
    pthread_mutex_unlock(&job->lock->mutex);
}

void job_cancel(struct job_lock *lock, struct job *const *which)
{
    struct job *job = job_borrow(lock, which);

    if (!job)
        return;
    pthread_mutex_lock(&lock->mutex);
    job->cancelled = true;
    pthread_mutex_unlock(&lock->mutex);
    if (job->outgoing)
        source_cancel(job->outgoing);
    else
        destination_cancel(job->incoming);
    job_give_back(job);
}

void job_stats(const struct job *job, struct migration_snapshot *ret)
{
    if (job->outgoing)
        source_stats(job->outgoing, ret);
    else
        destination_stats(job->incoming, ret);
}

/* --- its life -------------------------------------------------------------------------------- */

struct job *job_new(struct vm *vm, struct job_lock *lock, struct error *err)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job) {
        err_sys(err, "memory for a migration");
        return NULL;
    }
    job->vm = vm;
    job->lock = lock;
    job->alive = job->open = true;
    job->status = MIGRATION_SETUP;
    return job;
}

static void free_engine(struct job *job)
{
    source_free(job->outgoing);
    destination_free(job->incoming);
    target_free(job->target);
    job->outgoing = NULL;
    job->incoming = NULL;
    job->target = NULL;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    free_engine(job);
    tls_creds_free(job->tls);
    free(job);
}

bool job_is_final(enum migration_status status)
{
    return status == MIGRATION_COMPLETED || status == MIGRATION_FAILED ||
           status == MIGRATION_CANCELLED;
}

/* True in the last moments of a job: it is about to end; or it could not listen, and vm_incoming()
 * is about to free it. */
static bool is_leaving(const struct job *job)
{
    return job->alive ? job_is_final(job->status) : job->asked;
}

void job_settle(struct job_lock *lock, struct job *const *which)
{
    while (*which && is_leaving(*which))
        job_wait(lock);
}

void job_replace(struct job **which, struct job *by)
{
    if (*which)
        thread_join(&(*which)->thread);
    job_free(*which);
    *which = by;
}

/* When this returns no other thread is in the engine, and none can enter it. */
static void shut_out(struct job *job)
{
    pthread_mutex_lock(&job->lock->mutex);
    job->open = false;
    while (job->users)
        job_wait(job->lock);
    pthread_mutex_unlock(&job->lock->mutex);
}

void job_close(struct job *job)
{
    job_stats(job, &job->last);
    shut_out(job);
    free_engine(job);
}

void job_finish(struct job_lock *lock, struct job **which)
{
    job_cancel(lock, which);
    if (*which)
        thread_join(&(*which)->thread);
    job_free(*which);
    *which = NULL;
}
