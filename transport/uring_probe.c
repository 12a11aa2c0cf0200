#include "transport/uring_probe.h"

#include "transport/uring.h"
#include "transport/uring_memory.h"

/* Makes a ring and asks it one question. */
static int ask_ring(bool (*ask)(struct uring *u), struct error *err)
{
    char reason[ERR_REASON_LEN];
    struct uring u = {0};
    int rc = uring_init(&u, NULL);
    bool yes = rc == 0 && ask(&u);

    uring_done(&u);
    if (rc < 0) {
        err_reason(rc, reason);
        return err_set(err, ERR_SYSTEM, "%s", reason);
    }
    return yes ? 0 : err_set(err, ERR_SYSTEM, "this kernel is older");
}

static bool is_there(struct uring *u)
{
    return u->open;
}

static bool can_lend(struct uring *u)
{
    (void)u;
    return uring_can_lend();
}

int uring_probe_ring(struct error *err)
{
    return ask_ring(is_there, err);
}

int uring_probe_lending(struct error *err)
{
    return ask_ring(can_lend, err);
}

int uring_probe_sharing(struct error *err)
{
    return ask_ring(uring_memory_is_shared, err);
}
