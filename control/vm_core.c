#include "control/vm_core.h"

void vm_lock(struct vm *vm)
{
    pthread_mutex_lock(&vm->lock.mutex);
}

void vm_unlock(struct vm *vm)
{
    pthread_mutex_unlock(&vm->lock.mutex);
}

/* --- events ---------------------------------------------------------------------------------- */

void vm_tell(struct vm *vm, const struct vm_event *event)
{
    bool of_migration = event->kind == VM_EVENT_MIGRATION || event->kind == VM_EVENT_MIGRATION_PASS;

    if (vm->events.send && (!of_migration || settings_on(&vm->settings, CAP_EVENTS)))
        vm->events.send(vm->events.arg, event);
}

void vm_tell_status(struct vm *vm, enum migration_status status)
{
    vm_tell(vm, &(struct vm_event){.kind = VM_EVENT_MIGRATION, .status = status});
}

void vm_tell_whether_it_runs(struct vm *vm)
{
    if (run_reasons_update(&vm->run))
        vm_tell(vm, &(struct vm_event){.kind = vm->run.runs ? VM_EVENT_RESUME : VM_EVENT_STOP});
}

/* --- what holds ------------------------------------------------------------------------------ */

uint64_t vm_facts(const struct vm *vm)
{
    bool in = vm->in && vm->in->alive && !vm->in->landed;

    return vm->config.host_facts | (vm->out && vm->out->alive ? IN_SET(FACT_OUTGOING) : 0) |
           (in ? IN_SET(FACT_LISTENING) : 0) | (in && vm->in->arrived ? IN_SET(FACT_INCOMING) : 0) |
           (vm->run.waiting ? IN_SET(FACT_WAITING) : 0) |
           (vm->run.moved ? IN_SET(FACT_POSTMIGRATE) : 0) |
           (ram_set_any_private(&vm->config.machine->ram) ? IN_SET(FACT_RAM_PRIVATE) : 0);
}

bool vm_is_over(struct vm *vm, struct error *ret_why)
{
    bool runs = (vm->out && vm->out->alive) || (vm->in && vm->in->alive);
    bool over = vm->end.quitting && !runs && !vm->end.told_over;

    vm->end.told_over |= over;
    *ret_why = vm->end.fatal;
    return over;
}

void vm_over(const struct vm *vm, const struct error *why)
{
    vm->config.over(vm->config.arg, why->kind != ERR_NONE ? why : NULL);
}
