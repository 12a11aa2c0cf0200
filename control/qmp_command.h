/*
 * control/qmp_command.h: a monitor's commands: rows of tables, which the monitor's owner supplies.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/error.h"

/* What an argument may be. */
enum qmp_type {
    QMP_STRING,
    QMP_BOOL,
    QMP_INTEGER, /* fits an int64_t: the parser takes no other */
    QMP_OBJECT,
    QMP_LIST,
    QMP_TYPE_N,
};

struct qmp_argument {
    const char *name;
    enum qmp_type type;
    bool optional;
};

struct qmp_command {
    const char *name;
    /*
     * Called by the monitor's thread, and all clients wait for it: it must not take long.
     * `arguments` is an object, never NULL; it has members of the list below only, with their
     * types. The monitor owns *ret; where it is left NULL, the answer is {}. The client is told the
     * error's text.
     */
    int (*run)(void *arg, const json_t *arguments, json_t **ret, struct error *err);
    /* Called after the answer is queued. NULL: nothing. */
    void (*after)(void *arg);
    const struct qmp_argument *arguments;
    size_t n_arguments;
    bool any_arguments; /* run() looks at their names and types itself */
};

struct qmp_table {
    const struct qmp_command *commands;
    size_t n;
    void *arg; /* for run() and after() */
};

/* A monitor's commands, beside the session's own. The tables live longer than the monitor. */
struct qmp_registry {
    const struct qmp_table *tables;
    size_t n;
    const char *package; /* this program's name, in the greeting and for query-version */
};

/* "string", "boolean", … */
const char *qmp_type_name(enum qmp_type type);
bool qmp_type_is(enum qmp_type type, const json_t *value);
/* 0 where an object has these members and no others. The error names the first that is wrong. */
MUST_USE int qmp_check(const json_t *object, const struct qmp_argument *members, size_t n,
                       struct error *err);
