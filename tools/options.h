/*
 * tools/options.h: every option of every verb: one table gives parsing, checks and help.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/uuid.h"
#include "compress/codec.h"
#include "transport/engine.h"

enum verb_bit {
    VERB_RECV = 1 << 0,
    VERB_SEND = 1 << 1,
    VERB_INFO = 1 << 2,
    VERB_PROBE = 1 << 3,
};

enum progress_mode { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };

struct options {
    int channels; /* -1: not said */
    int method;   /* enum codec_method; -1: not said */
    int level;
    const struct engine *engine;
    uint64_t max_bytes_per_s; /* 0 = no limit */
    uint64_t downtime_limit_ms, connect_timeout_ms, stall_timeout_ms;
    uint64_t local_patience_ms; /* the stall timeout where the user sets it, else a short one */
    const char *machine;        /* NULL: not said */
    struct uuid uuid;
    bool has_uuid;
    bool return_path;
    bool json, force, digest;
    enum progress_mode progress;
};

/*
 * Reads what stands behind the verb. Words that are no options go to args[], at most `max_args`;
 * "--" ends the options. Fails with ERR_USAGE.
 */
MUST_USE int options_parse(enum verb_bit verb, int argc, char **argv, struct options *ret,
                           const char **args, size_t max_args, size_t *ret_n_args,
                           struct error *err);
/* The options of a verb, a line each. */
void options_help(enum verb_bit verb, FILE *to);
