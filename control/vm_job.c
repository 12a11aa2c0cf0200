#include "control/vm_job.h"

#include "migration/credentials.h"

int vm_may_start(struct vm *vm, enum moment moment, const struct address *address, uint64_t world,
                 struct error *err)
{
    struct refusal ignored;

    if (vm->end.quitting)
        return err_set(err, ERR_USAGE, "this VM is about to end");
    world |= vm_facts(vm) | (address ? gate_address_facts(address) : 0);
    return gate_start(&vm->settings, moment, world, &ignored, err);
}

int vm_job_credentials(const struct vm *vm, struct job *job, bool server,
                       const struct address *address, struct error *err)
{
    const struct credentials_config config = {
        .server = server, .settings = &vm->settings, .address = address};

    const char *notice;

    if (credentials_open(&config, &job->tls, err) < 0)
        return -1;
    for (size_t i = 0; job->tls && (notice = tls_creds_notice(job->tls, i)); i++) {
        if (vm->config.notice)
            vm->config.notice(vm->config.arg, notice);
    }
    return 0;
}

void vm_job_connections(const struct vm *vm, const struct job *job, const struct address *address,
                        struct connect_config *ret)
{
    char ignored[ENGINE_NOTICE_LEN];

    ret->address = *address;
    ret->engine = engine_choose(vm->config.engine, ret->zero_copy, ignored);
    ret->tls = job->tls;
    ret->connect_timeout_ms = vm->config.connect_timeout_ms;
    ret->stall_timeout_ms = vm->config.stall_timeout_ms;
    ret->answer_timeout_ms = vm->config.answer_timeout_ms;
}

void vm_job_end(struct job *job, int rc, const struct error *err)
{
    struct vm *vm = job->vm;
    struct error why;
    bool failed = rc < 0 && err->kind != ERR_CANCELLED && !job->refused;
    /* A guest that has arrived, but whose memory could not all be read from the file, cannot go
     * on. */
    bool fatal = failed && !job->held && (job->exit_on_error || job->landed);

    job_close(job);
    if (vm->config.migrated && !job->refused)
        vm->config.migrated(vm->config.arg, rc == 0  ? MIGRATION_COMPLETED
                                            : failed ? MIGRATION_FAILED
                                                     : MIGRATION_CANCELLED);
    vm_lock(vm);
    bool unasked = rc < 0 && err->kind == ERR_CANCELLED && !job->refused && !job->cancelled;
    if (failed || unasked)
        job->failure = *err;
    if (fatal)
        vm->end.fatal = *err;
    vm->end.quitting |= fatal;
    job->alive = false;
    bool over = vm_is_over(vm, &why), undecided = failed && vm->run.moved;
    job_changed(&vm->lock);
    vm_unlock(vm);
    if (undecided && vm->config.undecided)
        vm->config.undecided(vm->config.arg, err);
    if (over)
        vm_over(vm, &why);
}
