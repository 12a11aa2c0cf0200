#include "migration/observer.h"

void observer_status(const struct migration_observer *o, enum migration_status status)
{
    if (o->status)
        o->status(o->arg, status);
}

void observer_pass(const struct migration_observer *o, uint64_t pass)
{
    if (o->pass)
        o->pass(o->arg, pass);
}

void observer_advice(const struct migration_observer *o, const struct advice *advice)
{
    if (o->advice)
        o->advice(o->arg, advice);
}

void observer_guest(const struct migration_observer *o, bool running)
{
    if (o->guest)
        o->guest(o->arg, running);
}
