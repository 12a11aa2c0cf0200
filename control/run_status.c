#include "control/run_status.h"

enum run_status run_status_of(const struct run_reasons *s)
{
    if (s->waiting)
        return RUN_INMIGRATE;
    if (s->moved)
        return RUN_POSTMIGRATE;
    if (s->moving)
        return RUN_FINISH_MIGRATE;
    if (!s->paused)
        return RUN_RUNNING;
    return s->started ? RUN_PAUSED : RUN_PRELAUNCH;
}

bool run_reasons_update(struct run_reasons *s)
{
    bool runs = !s->paused && !s->moving, changed = runs != s->runs;

    s->runs = runs;
    s->started |= runs;
    return changed;
}
