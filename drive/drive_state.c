#include "drive/drive_state.h"

#include "base/clock.h"

#define TICK_MS 50 /* between two looks at a migration: QEMU sends no events unless asked to */

/* An end without a monitor is in this process. */
static bool is_here(const struct monitor *m)
{
    return !m->client || monitor_is_local(m);
}

bool drive_is_local(const struct drive *d)
{
    return is_here(&d->from) && is_here(&d->to);
}

void drive_tick(const struct cancel *cancel)
{
    static const struct cancel never = {.fd = -1};
    struct error ignored;

    (void)!cancel_poll(cancel ? cancel : &never, -1, 0, clock_ns() + TICK_MS * NS_PER_MS, &ignored);
}
