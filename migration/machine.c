#include "migration/machine.h"

void device_state_done(struct device_state *d)
{
    buf_done(&d->early);
    buf_done(&d->tail);
}

void machine_free(struct machine *m)
{
    if (m)
        m->ops->free(m);
}

void landing_free(struct landing *l)
{
    if (l)
        l->ops->free(l);
}
