/*
 * transport/engine.h: ways of moving bytes over a connected descriptor, by name.
 */
#pragma once

#include "base/error.h"
#include "transport/channel.h"

struct engine_config {
    uint64_t stall_timeout_ms; /* 0 = no limit */
    bool zero_copy; /* borrow what CHANNEL_BORROW allows to; fails where the socket cannot */
};

struct engine {
    const char *name;
    /* Takes the descriptor, also when it fails. */
    int (*open)(int fd, const struct engine_config *config, struct channel **ret,
                struct error *err);
};

/* "auto" picks the first of the table. Fails with ERR_USAGE, naming those there are. */
MUST_USE int engine_find(const char *name, const struct engine **ret, struct error *err);
