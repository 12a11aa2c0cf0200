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
    /* Whether this kernel and its limits let it work; *ret_why is written where they do not.
     * NULL: always. */
    bool (*usable)(bool zero_copy, char *ret_why, size_t len);
    /* Takes the descriptor, also when it fails. One that turns out not to be usable opens a channel
     * of the socket engine. */
    int (*open)(int fd, const struct engine_config *config, struct channel **ret,
                struct error *err);
};

/* The first of the table, which "auto" picks. */
const struct engine *engine_standard(void);
/* Fails with ERR_USAGE, naming those there are. */
MUST_USE int engine_find(const char *name, const struct engine **ret, struct error *err);

#define ENGINE_NOTICE_LEN 160
/*
 * `wanted`, or where it is not usable the socket engine, and a line for the user that says why. The
 * notice is "" otherwise.
 */
const struct engine *engine_choose(const struct engine *wanted, bool zero_copy,
                                   char ret_notice[static ENGINE_NOTICE_LEN]);
/* Why "auto" is the engine that it is, for the user. */
const char *engine_auto_reason(void);
