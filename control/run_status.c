#include "control/run_status.h"

#include "base/macros.h"

static const char *const status_names[] = {
    [RUN_PRELAUNCH] = "prelaunch",
    [RUN_RUNNING] = "running",
    [RUN_PAUSED] = "paused",
    [RUN_INMIGRATE] = "inmigrate",
    [RUN_FINISH_MIGRATE] = "finish-migrate",
    [RUN_POSTMIGRATE] = "postmigrate",
};
_Static_assert(ARRAY_LEN(status_names) == RUN_STATUS_N, "a name for each status");

const char *run_status_name(enum run_status status)
{
    return status_names[status];
}

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
