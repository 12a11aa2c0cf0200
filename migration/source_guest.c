#include "migration/source_guest.h"

#include "base/clock.h"

int source_stop_guest(struct source *m, struct error *err)
{
    const struct machine_ops *ops = m->machine->ops;

    if (m->stopped_ns)
        return 0;
    m->stopped_ns = clock_ns();
    if (ops->stop && ops->stop(m->machine, MACHINE_MOVING, err) < 0)
        return err_in(err, "stop the guest");
    atomic_store(&m->stats.stopped_at_bytes, link_main_bytes(m->link));
    atomic_store(&m->stats.stopped, true);
    if (ops->stop)
        observer_guest(&m->config.observer, false);
    return 0;
}

/* A guest whose memory another guest has taken over in the meantime stays stopped: a user who lets
 * it run later gets that error. */
void source_release_guest(struct source *m)
{
    const struct machine_ops *ops = m->machine->ops;
    struct error ignored;

    if (!m->stopped_ns || !ops->resume || machine_activate(m->machine, &ignored) < 0)
        return;
    ops->resume(m->machine, MACHINE_MOVING);
    if (atomic_load(&m->stats.stopped))
        observer_guest(&m->config.observer, true);
}
