#include "transport/uring_probe.h"

int uring_probe_ring(struct error *err)
{
    return err_set(err, ERR_SYSTEM, "this build lacks liburing");
}

int uring_probe_lending(struct error *err)
{
    return uring_probe_ring(err);
}

int uring_probe_sharing(struct error *err)
{
    return uring_probe_ring(err);
}
