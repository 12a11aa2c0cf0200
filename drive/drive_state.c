#include "drive/drive_state.h"

#include "base/clock.h"

#define TICK_MS 50 /* between two looks at a migration: QEMU sends no events unless asked to */

bool drive_is_local(const struct drive *d)
{
    return migrate_is_local(&d->from.at) && migrate_is_local(&d->to.at);
}

void drive_tick(const struct cancel *cancel)
{
    static const struct cancel never = {.fd = -1};
    struct error ignored;

    (void)!cancel_poll(cancel ? cancel : &never, -1, 0, clock_ns() + TICK_MS * NS_PER_MS, &ignored);
}
