#include "control/vm_incoming.h"

#include <string.h>

#include "base/clock.h"
#include "control/vm_job.h"
#include "migration/plan.h"

/* --- what its engine tells ------------------------------------------------------------------- */

/* The guest is here: it runs, unless its user paused it, here or at the source. */
static void arrive(struct vm *vm)
{
    vm->run.paused = machine_is_paused_for(vm->config.machine, MACHINE_PAUSED);
    vm->run.waiting = vm->run.moving = false;
    vm->run.started = true;
    machine_resume(vm->config.machine, MACHINE_MOVING);
    vm_tell_whether_it_runs(vm);
}

/* The guest is here, but stays paused like one that was migrated away: cont lets it run. */
static void hold_back(struct job *job)
{
    job->held = true;
    job->vm->run.waiting = false;
    job->vm->run.moved = true;
}

/* The guest was loaded from a file, and some of its memory is still in that file. */
static void in_guest(void *arg, bool running)
{
    struct job *job = arg;

    (void)running;
    vm_lock(job->vm);
    arrive(job->vm);
    job->landed = true;
    job_changed(&job->vm->lock);
    vm_unlock(job->vm);
}

/* The engine reports setup when the source is there. That is not told again: setup was told when
 * the migration began to listen, as in QEMU. */
static void in_status(void *arg, enum migration_status status)
{
    struct job *job = arg;
    struct vm *vm = job->vm;

    vm_lock(vm);
    job->arrived = true;
    job->status = status;
    if (status == MIGRATION_COMPLETED && !job->landed)
        arrive(vm);
    if (status == MIGRATION_FAILED && vm->config.attended && destination_holds_guest(job->incoming))
        hold_back(job);
    if (status != MIGRATION_SETUP)
        vm_tell_status(vm, status);
    vm_unlock(vm);
}

/* --- its thread ------------------------------------------------------------------------------ */

/* Under the lock. The migration listens, or vm_incoming() waits for that no longer. */
static void tell_begun(struct job *job)
{
    if (job->asked)
        vm_tell_status(job->vm, MIGRATION_SETUP);
    job->asked = false;
    job_changed(&job->vm->lock);
}

static void in_listens(struct job *job)
{
    vm_lock(job->vm);
    job->listens = true;
    tell_begun(job);
    vm_unlock(job->vm);
}

/* False where vm_incoming() no longer waits: then this is an ordinary failure of a migration. */
static bool in_refused(struct job *job, const struct error *err)
{
    vm_lock(job->vm);
    job->refused = job->asked;
    if (job->refused)
        job->failure = *err;
    bool refused = job->refused;
    vm_unlock(job->vm);
    return refused;
}

static void in_turned_away(void *arg, const struct error *why)
{
    struct job *job = arg;
    struct vm *vm = job->vm;

    if (vm->config.refused)
        vm->config.refused(vm->config.arg, why);
}

static void *in_main(void *arg)
{
    struct job *job = arg;
    struct error err;
    int rc = destination_listen(job->incoming, &err);

    if (rc == 0)
        in_listens(job);
    if (rc == 0 || !in_refused(job, &err))
        rc = destination_run(job->incoming, &err);
    vm_job_end(job, rc, &err);
    return NULL;
}

/* --- its start ------------------------------------------------------------------------------- */

/* Under the lock. Waits until the job listens, for `patience_ms` at most. The VM owns the job after
 * this; one that fails to listen while it waits is freed. */
static int await_listening(struct vm *vm, struct job *job, uint64_t patience_ms, struct error *err)
{
    struct timespec until = deadline_timespec(deadline_in_ms(patience_ms));
    struct job *last = vm->in;
    bool in_time = true;

    vm->in = job;
    while (job->asked && job->alive && (in_time || job->refused)) {
        if (patience_ms == 0 || job->refused)
            job_wait(&vm->lock);
        else
            in_time = pthread_cond_clockwait(&vm->lock.changed, &vm->lock.mutex, CLOCK_MONOTONIC,
                                             &until) == 0;
    }
    if (!job->refused) {
        tell_begun(job);
        job_replace(&last, NULL);
        return 0;
    }
    *err = job->failure;
    vm->in = last;
    job_changed(&vm->lock);
    job_replace(&job, NULL);
    return -1;
}

static int in_prepare(struct vm *vm, struct job *job, const struct address *at, struct error *err)
{
    const struct settings *s = &vm->settings;
    struct destination_config config;
    struct ram_set_rules ram;

    destination_config_init(&config);
    vm_job_connections(vm, job, at, &config.connect);
    destination_configure(s, &config);
    config.open_capabilities =
        vm->config.open_capabilities |
        (settings_explicit_capability(s, CAP_MAPPED_RAM) ? 0 : STREAM_CAP_MAPPED_RAM);
    config.machine = vm->config.machine->config.machine;
    config.uuid = uuid_is_set(&vm->uuid) ? &vm->uuid : NULL;
    config.uuid_may_lack = config.main_any_time = true;
    config.populate_threads = vm->config.populate_threads;
    config.checksums = !vm->config.without_checksums;
    if (settings_on(s, CAP_MULTIFD))
        config.file_threads = settings_channels(s);
    config.direct_io = settings_number(s, PARAM_DIRECT_IO);
    config.observer = (struct migration_observer){
        .status = in_status, .guest = in_guest, .refused = in_turned_away, .arg = job};
    ram_set_rules_of(s, &ram);
    if (vm->config.land(vm->config.arg, &ram, &job->target, err) < 0)
        return -1;
    return destination_new(&config, job->target, &job->incoming, err);
}

int vm_incoming(struct vm *vm, const struct address *at, uint64_t world, bool exit_on_error,
                uint64_t patience_ms, struct error *err)
{
    struct job *job = NULL;

    vm_lock(vm);
    job_settle(&vm->lock, &vm->in);
    int rc = vm_may_start(vm, AT_INCOMING, at, world, err);
    if (rc == 0)
        rc = (job = job_new(vm, &vm->lock, err)) ? 0 : -1;
    if (rc == 0)
        rc = vm_job_credentials(vm, job, true, at, err);
    if (rc == 0)
        rc = in_prepare(vm, job, at, err);
    if (rc == 0) {
        job->exit_on_error = exit_on_error;
        job->asked = true;
        rc = thread_start(&job->thread, in_main, job, err, "incoming");
    }
    if (rc == 0)
        rc = await_listening(vm, job, patience_ms, err);
    else
        job_free(job);
    vm_unlock(vm);
    return rc;
}

/* --- under way ------------------------------------------------------------------------------- */

int vm_incoming_wait(struct vm *vm, struct error *err)
{
    int rc = 0;

    vm_lock(vm);
    while (vm->in && vm->in->alive && !vm->in->landed)
        job_wait(&vm->lock);
    if (vm->in && vm->in->status == MIGRATION_CANCELLED)
        rc = err_set(err, ERR_CANCELLED, "cancelled");
    if (vm->in && vm->in->status == MIGRATION_FAILED) {
        *err = vm->in->failure;
        rc = -1;
    }
    vm_unlock(vm);
    return rc;
}

void vm_listening(struct vm *vm, char ret[static VM_ADDRESS_LEN])
{
    struct job *job = job_borrow(&vm->lock, &vm->in);

    ret[0] = 0;
    if (!job)
        return;
    vm_lock(vm);
    bool listens = job->listens;
    vm_unlock(vm);
    if (listens)
        strncat(ret, destination_address(job->incoming), VM_ADDRESS_LEN - 1);
    job_give_back(job);
}
