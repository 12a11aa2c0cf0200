/*
 * tools/meeting.h: a place at which a VM that is driven by its monitor reaches this process: a
 * socket in a private folder, or a port.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "transport/address.h"

struct meeting {
    char folder[64]; /* "": none was made */
    struct address at;
};

/*
 * `host`: any port of it. NULL: of the loopback, or, if `ours` says that the VM runs as our own
 * user, a socket that no other user reaches. Call meeting_done() after a failure, too.
 */
MUST_USE int meeting_make(struct meeting *m, const char *host, bool ours, struct error *err);
void meeting_done(struct meeting *m);
