#include "control/vm_migrate.h"

#include <stdlib.h>
#include <string.h>

#include "control/vm_job.h"
#include "migration/plan.h"

/* --- what its engine tells ------------------------------------------------------------------- */

static void out_status(void *arg, enum migration_status status)
{
    struct job *job = arg;
    struct vm *vm = job->vm;

    vm_lock(vm);
    job->status = status;
    vm->run.moved = job_is_final(status) && (status == MIGRATION_COMPLETED || vm->run.moving);
    vm_tell_status(vm, status);
    vm_unlock(vm);
}

static void out_pass(void *arg, uint64_t pass)
{
    const struct job *job = arg;

    vm_lock(job->vm);
    vm_tell(job->vm, &(struct vm_event){.kind = VM_EVENT_MIGRATION_PASS, .pass = pass});
    vm_unlock(job->vm);
}

static void out_advice(void *arg, const struct advice *advice)
{
    const struct vm_config *config = &((const struct job *)arg)->vm->config;

    if (config->advice)
        config->advice(config->arg, advice);
}

static void out_guest(void *arg, bool running)
{
    const struct job *job = arg;

    vm_lock(job->vm);
    job->vm->run.moving = !running;
    vm_tell_whether_it_runs(job->vm);
    vm_unlock(job->vm);
}

/* --- its thread ------------------------------------------------------------------------------ */

/* Waits until no memory of the guest is left in the file that it was loaded from; before that it
 * cannot be migrated. False: that has failed, and ends the VM. */
static bool await_memory(struct vm *vm)
{
    vm_lock(vm);
    while (vm->in && vm->in->alive)
        job_wait(&vm->lock);
    bool lost = vm->in && vm->in->landed && vm->in->status != MIGRATION_COMPLETED;
    vm_unlock(vm);
    return !lost;
}

static void *out_main(void *arg)
{
    struct job *job = arg;
    struct error err;

    if (!await_memory(job->vm))
        source_cancel(job->outgoing);
    int rc = source_run(job->outgoing, &err);

    vm_job_end(job, rc, &err);
    return NULL;
}

/* After quit the guest must not continue, not in a new program either. */
static int out_replace(void *arg, struct error *err)
{
    const struct job *job = arg;
    struct vm *vm = job->vm;

    vm_lock(vm);
    bool quitting = vm->end.quitting;
    char *command = strdup(settings_text(&vm->settings, PARAM_CPR_EXEC_COMMAND));
    vm_unlock(vm);
    int rc = command ? 0 : err_sys(err, "memory for a command");
    if (quitting)
        rc = err_set(err, ERR_CANCELLED, "cancelled");
    if (rc == 0)
        rc = vm->config.replace(vm->config.arg, command, err);
    free(command);
    return rc;
}

/* --- its start ------------------------------------------------------------------------------- */

/* Refuses a block that the next program could not make again, because its file holds data. Called
 * before anything stops. */
static int check_stays(const struct ram_map *ram, struct error *err)
{
    for (size_t i = 0; i < ram->n; i++) {
        const struct ram_block *b = &ram->blocks[i];

        if (b->named && !b->migratable)
            return err_set(err, ERR_USAGE,
                           "mode cpr-exec: RAM block '%s' is a file and not migratable: the next "
                           "program could not take it",
                           b->name);
    }
    return 0;
}

/* Under the lock. The settings go into the engine's config; in the machine only what the stream
 * says about it, its UUID, is set. */
static int out_prepare(struct vm *vm, struct job *job, const struct address *to,
                       const struct address *cpr, struct error *err)
{
    bool replaces = settings_number(&vm->settings, PARAM_MODE) == MODE_CPR_EXEC;
    struct machine *m = vm->config.machine;
    struct source_config config;

    if (replaces && !vm->config.replace)
        return err_set(err, ERR_USAGE, "mode cpr-exec: this program cannot be replaced");
    if (replaces && check_stays(&m->ram, err) < 0)
        return -1;
    source_config_init(&config);
    source_configure(&vm->settings, &config);
    vm_job_connections(vm, job, to, &config.connect);
    config.uuid = vm->uuid;
    config.checksums = !vm->config.without_checksums;
    config.observer = (struct migration_observer){.status = out_status,
                                                  .pass = out_pass,
                                                  .advice = out_advice,
                                                  .guest = out_guest,
                                                  .arg = job};
    config.hand_over = cpr != NULL;
    if (cpr)
        config.cpr = *cpr;
    config.replace = replaces ? out_replace : NULL;
    config.replace_arg = job;
    m->config.uuid = vm->uuid;
    m->config.has_uuid = settings_on(&vm->settings, CAP_VALIDATE_UUID) && uuid_is_set(&vm->uuid);
    return source_new(&config, m, &job->outgoing, err);
}

int vm_migrate(struct vm *vm, const struct address *to, const struct address *cpr, uint64_t world,
               struct error *err)
{
    struct job *job = NULL;

    vm_lock(vm);
    if (cpr && cpr->scheme == ADDRESS_UNIX)
        world |= IN_SET(FACT_CPR_CHANNEL);
    else if (cpr && settings_number(&vm->settings, PARAM_MODE) != MODE_CPR_TRANSFER)
        world |= IN_SET(FACT_BAD_CHANNELS);
    job_settle(&vm->lock, &vm->out);
    job_settle(&vm->lock, &vm->in); /* a guest that has just come may be sent on at once */
    int rc = vm_may_start(vm, AT_MIGRATE, to, world, err);
    if (rc == 0 && vm->measured.rate) /* the measurement may be using the dirty log */
        dirty_rate_stop(vm->measured.rate);
    if (rc == 0)
        rc = (job = job_new(vm, &vm->lock, err)) ? 0 : -1;
    if (rc == 0)
        rc = vm_job_credentials(vm, job, false, to, err);
    if (rc == 0)
        rc = out_prepare(vm, job, to, cpr, err);
    if (rc == 0)
        rc = thread_start(&job->thread, out_main, job, err, "outgoing");
    if (rc == 0)
        job_replace(&vm->out, job);
    else
        job_free(job);
    vm_unlock(vm);
    return rc;
}

/* --- under way ------------------------------------------------------------------------------- */

void vm_cancel(struct vm *vm)
{
    job_cancel(&vm->lock, &vm->out);
}

int vm_continue(struct vm *vm, struct error *err)
{
    struct job *job = job_borrow(&vm->lock, &vm->out);

    if (!job)
        return err_set(err, ERR_USAGE, "no migration runs");
    int rc = source_continue(job->outgoing, err);
    job_give_back(job);
    return rc;
}

/* --- what is known --------------------------------------------------------------------------- */

/* Under the lock. False where the engine itself has to be asked. */
static bool remember(struct vm *vm, struct vm_migration *ret)
{
    const struct job *job = vm->out ? vm->out : vm->in;

    if (!job)
        return true;
    ret->outgoing = job == vm->out;
    ret->status = job->status;
    if (job->alive)
        return false;
    ret->now = job->last;
    ret->failure = job->failure;
    return true;
}

/* False where the engine has just gone. Its statistics are newer than the last status it told. */
static bool look(struct vm *vm, struct vm_migration *ret)
{
    struct job *job = job_borrow(&vm->lock, ret->outgoing ? &vm->out : &vm->in);

    if (!job)
        return false;
    job_stats(job, &ret->now);
    if (ret->now.status != MIGRATION_NONE)
        ret->status = ret->now.status;
    job_give_back(job);
    return true;
}

void vm_migration(struct vm *vm, struct vm_migration *ret)
{
    bool known;

    memset(ret, 0, sizeof(*ret));
    do {
        vm_lock(vm);
        job_settle(&vm->lock, &vm->out);
        job_settle(&vm->lock, &vm->in);
        known = remember(vm, ret);
        vm_unlock(vm);
    } while (!known && !look(vm, ret));
    vm_listening(vm, ret->listening);
}
