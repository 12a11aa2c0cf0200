/*
 * migration/connect.h: address + engine → channels: the only file that knows them all.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "transport/channel_group.h"
#include "transport/engine.h"
#include "transport/transport.h"

struct connect_config {
    struct address address;
    const struct engine *engine;
    uint64_t connect_timeout_ms; /* 0 = no limit */
    uint64_t stall_timeout_ms;   /* 0 = no limit */
};

/* Dials once; the channel is in the group and belongs to the caller. */
MUST_USE int connect_dial(const struct connect_config *config, struct channel_group *group,
                          struct channel **ret, struct error *err);
/* Makes a channel of one waiting connection; *ret is NULL where there is none. */
MUST_USE int connect_accept(const struct connect_config *config, struct listener *listener,
                            struct channel_group *group, struct channel **ret, struct error *err);
/* Takes the channel out of its group and frees it. NULL is fine. */
void connect_close(struct channel_group *group, struct channel *c);
