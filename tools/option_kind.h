/*
 * tools/option_kind.h: how an option's value gets from the command line into a member of a struct.
 * Which options there are is not known here.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "settings/settings.h"

enum option_kind {
    OPTION_REFUSED,
    OPTION_FLAG,    /* bool: true */
    OPTION_STRING,  /* const char *: the value itself, which must outlive the struct */
    OPTION_TEXT,    /* the same, and not empty */
    OPTION_COUNT,   /* unsigned, 0 to `max` */
    OPTION_SIZE,    /* uint64_t, in bytes */
    OPTION_TIME,    /* uint64_t, in ms; a bare number is in seconds */
    OPTION_CHOICE,  /* an enum: the index in `names` */
    OPTION_SETTING, /* struct settings: `setting`, as text; of a switch: on */
    OPTION_RATE,    /* the same: `parameter`, in bytes/s */
    OPTION_MS,      /* the same: `parameter`, in ms; a bare number is in ms */
    OPTION_OWN,     /* set() reads it */
};

/* The end of `names`. A NULL among them is a value that cannot be chosen. */
extern const char option_names_end[];

struct option_target {
    enum option_kind kind;
    size_t offset;   /* of the member */
    size_t explicit; /* of a bool that is set to true, too; 0: none */
    union {
        const char *expected; /* OPTION_TEXT: what it is, for the error */
        uint64_t max;
        const char *const *names;
        const char *setting;
        enum parameter parameter;
        int (*set)(void *member, const char *value, struct error *err);
    };
};

/*
 * Reads `value`, NULL for a switch, into the member. ERR_USAGE. Settings are only collected; the
 * gate checks them as a whole.
 */
MUST_USE int option_set(const struct option_target *t, void *options, const char *value,
                        struct error *err);
