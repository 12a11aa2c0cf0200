#include "control/vm.h"

#include <stdlib.h>
#include <string.h>

#include "control/vm_core.h"
#include "migration/plan.h"

/* --- the guest ------------------------------------------------------------------------------- */

enum run_status vm_run_status(struct vm *vm, bool *ret_running)
{
    vm_lock(vm);
    enum run_status status = run_status_of(&vm->run);
    *ret_running = vm->run.runs;
    vm_unlock(vm);
    return status;
}

const char *vm_name(const struct vm *vm)
{
    return vm->name;
}

const struct uuid *vm_uuid(const struct vm *vm)
{
    return &vm->uuid;
}

struct machine *vm_machine(const struct vm *vm)
{
    return vm->config.machine;
}

int vm_stop(struct vm *vm, struct error *err)
{
    vm_lock(vm);
    int rc = machine_stop(vm->config.machine, MACHINE_PAUSED, err);
    if (rc == 0) {
        vm->run.paused = true;
        vm_tell_whether_it_runs(vm);
    }
    vm_unlock(vm);
    return rc < 0 ? err_in(err, "stop the guest") : 0;
}

/* Under the lock. */
static void let_run(struct vm *vm)
{
    if (vm->run.moved) { /* it may run elsewhere: a user who says cont here is expected to know */
        vm->run.moved = vm->run.moving = false;
        machine_resume(vm->config.machine, MACHINE_MOVING);
    }
    vm->run.paused = false;
    machine_resume(vm->config.machine, MACHINE_PAUSED);
    vm_tell_whether_it_runs(vm);
}

/* Under the lock. If the user wants it, two copies of the guest may run on two hosts, but never in
 * the same memory. */
static int take_back(struct vm *vm, struct error *err)
{
    return machine_activate(vm->config.machine, err);
}

int vm_cont(struct vm *vm, struct error *err)
{
    vm_lock(vm);
    int rc = vm->run.moved ? take_back(vm, err) : 0;
    if (rc == 0)
        let_run(vm);
    vm_unlock(vm);
    return rc;
}

/* --- settings -------------------------------------------------------------------------------- */

int vm_settings(struct vm *vm, struct settings *ret, struct error *err)
{
    vm_lock(vm);
    int rc = settings_copy(&vm->settings, ret, err);
    vm_unlock(vm);
    return rc;
}

static int let_in(struct vm *vm, const struct settings *change, struct runtime_parameters *ret_live,
                  struct error *err)
{
    struct settings want = vm->settings, owned;
    struct refusal ignored;

    if (gate_set(&want, change, vm_facts(vm), &ignored, err) < 0 ||
        settings_copy(&want, &owned, err) < 0)
        return -1;
    settings_copy_done(&vm->settings);
    vm->settings = owned;
    runtime_parameters_of(&owned, ret_live);
    return 0;
}

int vm_set(struct vm *vm, const struct settings *change, struct error *err)
{
    struct runtime_parameters live;

    vm_lock(vm);
    job_settle(&vm->lock, &vm->out);
    job_settle(&vm->lock, &vm->in);
    int rc = let_in(vm, change, &live, err);
    vm_unlock(vm);
    struct job *job = rc == 0 ? job_borrow(&vm->lock, &vm->out) : NULL;
    if (!job)
        return rc;
    source_update(job->outgoing, &live);
    job_give_back(job);
    return 0;
}

/* --- its RAM blocks -------------------------------------------------------------------------- */

/* Under the lock, which also guards `migratable`; a migration has its own copy of that. */
static struct ram_block *find_block(const struct vm *vm, const char *name, struct error *err)
{
    struct ram_block *b = ram_map_find(&vm->config.machine->ram, name);

    if (!b)
        err_set(err, ERR_USAGE, "there is no RAM block '%.60s' in the guest", name);
    return b;
}

int vm_migratable(struct vm *vm, const char *block, bool *ret, struct error *err)
{
    vm_lock(vm);
    const struct ram_block *b = find_block(vm, block, err);
    if (b)
        *ret = b->migratable;
    vm_unlock(vm);
    return b ? 0 : -1;
}

int vm_set_migratable(struct vm *vm, const char *block, bool migratable, struct error *err)
{
    struct refusal ignored;

    vm_lock(vm);
    job_settle(&vm->lock, &vm->out);
    job_settle(&vm->lock, &vm->in);
    struct ram_block *b = find_block(vm, block, err);
    int rc = b ? gate_start(&vm->settings, AT_RAM_SET, vm_facts(vm), &ignored, err) : -1;
    if (rc == 0)
        b->migratable = migratable;
    vm_unlock(vm);
    return rc;
}

/* --- life ------------------------------------------------------------------------------------ */

void vm_set_events(struct vm *vm, void (*event)(void *arg, const struct vm_event *event), void *arg)
{
    vm_lock(vm);
    vm->events.send = event;
    vm->events.arg = arg;
    vm_unlock(vm);
}

static int hold(struct vm *vm, struct error *err)
{
    struct machine *m = vm->config.machine;

    if (machine_stop(m, MACHINE_PAUSED, err) < 0)
        return -1;
    return vm->run.waiting ? machine_stop(m, MACHINE_MOVING, err) : 0;
}

static int fill(struct vm *vm, struct error *err)
{
    struct settings standard;

    settings_init(&standard);
    standard.capabilities |= IN_SET(CAP_RETURN_PATH); /* else nobody knows how a migration ended */
    if (vm->config.name && !(vm->name = strdup(vm->config.name)))
        return err_sys(err, "memory for a name");
    return settings_copy(&standard, &vm->settings, err);
}

static int check_config(const struct vm_config *config, struct error *err)
{
    if (!config->machine)
        return err_set(err, ERR_USAGE, "a VM without a machine");
    if (!config->over)
        return err_set(err, ERR_USAGE, "a VM whose owner does not hear of its end: over()");
    if (config->waiting && !config->land)
        return err_set(err, ERR_USAGE, "a VM that waits, without a place to land: land()");
    return 0;
}

int vm_new(const struct vm_config *config, struct vm **ret, struct error *err)
{
    if (check_config(config, err) < 0)
        return -1;
    struct vm *vm = calloc(1, sizeof(*vm));
    if (!vm)
        return err_sys(err, "memory for a VM");
    vm->config = *config;
    if (!config->engine)
        vm->config.engine = engine_standard();
    if (config->uuid)
        vm->uuid = *config->uuid;
    vm->run.waiting = vm->run.moving = config->waiting;
    vm->run.paused = true;
    pthread_mutex_init(&vm->lock.mutex, NULL);
    pthread_cond_init(&vm->lock.changed, NULL);
    if (fill(vm, err) < 0 || hold(vm, err) < 0) {
        vm_free(vm);
        return -1;
    }
    *ret = vm;
    return 0;
}

void vm_start(struct vm *vm, bool paused)
{
    vm_lock(vm);
    if (!paused)
        let_run(vm);
    vm_unlock(vm);
}

bool vm_is_quitting(struct vm *vm)
{
    vm_lock(vm);
    bool quitting = vm->end.quitting;
    vm_unlock(vm);
    return quitting;
}

void vm_quit(struct vm *vm, enum shutdown_reason reason)
{
    struct error why;

    vm_lock(vm);
    bool first = !vm->end.told_shutdown; /* not `quitting`: a failed migration may have set that */
    vm->end.quitting = vm->end.told_shutdown = true;
    if (first)
        vm_tell(vm, &(struct vm_event){.kind = VM_EVENT_SHUTDOWN, .reason = reason});
    vm_unlock(vm);
    if (!first)
        return;
    job_cancel(&vm->lock, &vm->out);
    job_cancel(&vm->lock, &vm->in);
    vm_lock(vm);
    bool over = vm_is_over(vm, &why);
    vm_unlock(vm);
    if (over)
        vm_over(vm, &why);
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    vm_lock(vm);
    vm->end.quitting = vm->end.told_over = true;
    vm_unlock(vm);
    job_finish(&vm->lock, &vm->out);
    job_finish(&vm->lock, &vm->in);
    dirty_rate_free(vm->measured.rate);
    settings_copy_done(&vm->settings);
    free(vm->name);
    pthread_cond_destroy(&vm->lock.changed);
    pthread_mutex_destroy(&vm->lock.mutex);
    free(vm);
}
