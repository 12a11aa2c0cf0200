#include "migration/machine.h"

void device_state_done(struct device_state *d)
{
    buf_done(&d->early);
    buf_done(&d->tail);
}

int machine_stop(struct machine *m, enum machine_hold why, struct error *err)
{
    return m->ops->stop ? m->ops->stop(m, why, err) : 0;
}

void machine_resume(struct machine *m, enum machine_hold why)
{
    if (m->ops->resume)
        m->ops->resume(m, why);
}

bool machine_is_held(struct machine *m, enum machine_hold why)
{
    return m->ops->is_held && m->ops->is_held(m, why);
}

void machine_yield(struct machine *m)
{
    if (m->ops->yield)
        m->ops->yield(m);
}

int machine_claim(struct machine *m, struct error *err)
{
    return m->ops->claim ? m->ops->claim(m, err) : 0;
}

void machine_free(struct machine *m)
{
    if (m)
        m->ops->free(m);
}

int landing_prepare(struct landing *l, const struct configuration *config,
                    const struct ram_map *ram, const struct device_state *devices,
                    struct error *err)
{
    return l->ops->prepare ? l->ops->prepare(l, config, ram, devices, err) : 0;
}

int landing_commit(struct landing *l, struct error *err)
{
    return l->ops->commit ? l->ops->commit(l, err) : 0;
}

void landing_free(struct landing *l)
{
    if (l)
        l->ops->free(l);
}
