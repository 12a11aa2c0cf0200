/*
 * transport/engine.h: the ways to move bytes over a connected descriptor, by name.
 */
#pragma once

#include "base/error.h"
#include "transport/channel.h"

struct engine_config {
    uint64_t stall_timeout_ms; /* 0 = no limit */
    bool zero_copy; /* CHANNEL_BORROW really borrows; open() fails if the socket cannot do that */
};

struct engine {
    const char *name;
    /* Whether this kernel and its limits let the engine work; if not, *ret_why says why. NULL:
     * always. */
    bool (*usable)(bool zero_copy, char *ret_why, size_t len);
    /* Takes ownership of the descriptor, also if it fails. If the engine turns out to be unusable,
     * it opens a channel of the socket engine instead. */
    int (*open)(int fd, const struct engine_config *config, struct channel **ret,
                struct error *err);
};

/* The first engine of the table, which "auto" means. */
const struct engine *engine_standard(void);
/* Fails with ERR_USAGE and a text that names the engines of this build. */
MUST_USE int engine_find(const char *name, const struct engine **ret, struct error *err);

#define ENGINE_NOTICE_LEN 160
/*
 * Returns `wanted`; or the socket engine if `wanted` is not usable, and then ret_notice is a line
 * that tells the user why. Otherwise ret_notice is "".
 */
const struct engine *engine_choose(const struct engine *wanted, bool zero_copy,
                                   char ret_notice[static ENGINE_NOTICE_LEN]);
/* Why "auto" means that engine, for the user. */
const char *engine_auto_reason(void);
