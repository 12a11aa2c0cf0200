#include "control/vm_dirty_rate.h"

#include "base/clock.h"
#include "control/vm_core.h"

/* Under the lock. */
static int measure(struct vm *vm, const struct dirty_rate_config *config, struct error *err)
{
    struct vm_measured *m = &vm->measured;
    struct dirty_rate *next;
    uint64_t rate;

    if (m->rate && dirty_rate_read(m->rate, &rate) == DIRTY_RATE_MEASURING)
        return err_set(err, ERR_USAGE, "a measurement runs already; wait for its end");
    if (config->mode == DIRTY_RATE_LOG && vm->out && vm->out->alive)
        return err_set(err, ERR_USAGE,
                       "a migration has the dirty log; use mode page-sampling, or query-migrate's "
                       "dirty-pages-rate");
    if (dirty_rate_start(config, &next, err) < 0)
        return -1;
    dirty_rate_free(m->rate);
    *m = (struct vm_measured){next, *config, clock_ns() / NS_PER_S};
    return 0;
}

int vm_measure(struct vm *vm, enum dirty_rate_mode mode, uint64_t calc_ms, unsigned sample_pages,
               struct error *err)
{
    const struct dirty_rate_config config = {.machine = vm->config.machine,
                                             .mode = mode,
                                             .calc_ms = calc_ms,
                                             .sample_pages = sample_pages};

    vm_lock(vm);
    job_settle(&vm->lock, &vm->out);
    int rc = measure(vm, &config, err);
    vm_unlock(vm);
    return rc;
}

void vm_dirty_rate(struct vm *vm, struct vm_dirty_rate *ret)
{
    vm_lock(vm);
    const struct vm_measured *m = &vm->measured;
    *ret = (struct vm_dirty_rate){.started = m->rate,
                                  .start_s = m->start_s,
                                  .calc_ms = m->config.calc_ms,
                                  .mode = m->config.mode,
                                  .sample_pages = m->config.sample_pages};
    if (m->rate)
        ret->status = dirty_rate_read(m->rate, &ret->bytes_per_s);
    vm_unlock(vm);
}
