#include "migration/origin.h"

int origin_settle(struct origin *o, struct error *err)
{
    return o->ops->settle ? o->ops->settle(o, err) : 0;
}

void origin_enough(struct origin *o)
{
    if (o->ops->enough)
        o->ops->enough(o);
}

void origin_proven(struct origin *o)
{
    if (o->ops->proven)
        o->ops->proven(o);
}

int origin_check_complete(struct origin *o, bool expected, struct error *err)
{
    return o->ops->check_complete ? o->ops->check_complete(o, expected, err) : 0;
}

void origin_cancel(struct origin *o)
{
    if (o->ops->cancel)
        o->ops->cancel(o);
}

void origin_end(struct origin *o)
{
    if (o && o->ops->end)
        o->ops->end(o);
}

void origin_free(struct origin *o)
{
    if (o)
        o->ops->free(o);
}
