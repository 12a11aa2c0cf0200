#include "migration/machine.h"

void device_state_done(struct device_state *d)
{
    buf_done(&d->early);
    buf_done(&d->tail);
}

int machine_stop(struct machine *m, enum pause_reason why, struct error *err)
{
    return m->ops->stop ? m->ops->stop(m, why, err) : 0;
}

void machine_resume(struct machine *m, enum pause_reason why)
{
    if (m->ops->resume)
        m->ops->resume(m, why);
}

bool machine_is_paused_for(struct machine *m, enum pause_reason why)
{
    return m->ops->is_paused_for && m->ops->is_paused_for(m, why);
}

void machine_deactivate(struct machine *m)
{
    if (m->ops->deactivate)
        m->ops->deactivate(m);
}

int machine_activate(struct machine *m, struct error *err)
{
    return m->ops->activate ? m->ops->activate(m, err) : 0;
}

void machine_free(struct machine *m)
{
    if (m)
        m->ops->free(m);
}

int target_prepare(struct target *l, const struct configuration *config, const struct ram_map *ram,
                   const struct device_state *devices, struct error *err)
{
    return l->ops->prepare ? l->ops->prepare(l, config, ram, devices, err) : 0;
}

int target_commit(struct target *l, struct error *err)
{
    return l->ops->commit ? l->ops->commit(l, err) : 0;
}

void target_free(struct target *l)
{
    if (l)
        l->ops->free(l);
}
