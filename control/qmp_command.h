/*
 * control/qmp_command.h: a monitor's commands are rows of tables, which their owners bring.
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
    QMP_INTEGER, /* that fits an int64_t: it is all that the parser takes */
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
     * By the monitor's thread, on which all clients wait: it must not take long. `arguments` is an
     * object, never NULL, whose members are those of the list below, with their types. *ret is the
     * monitor's to json_decref(); left NULL, the client is answered {}. An error's text is what the
     * client is told.
     */
    int (*run)(void *arg, const json_t *arguments, json_t **ret, struct error *err);
    /* When the answer is on its way. NULL: nothing. */
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

/* All that a monitor knows. The tables live longer than the monitor. */
struct qmp_registry {
    const struct qmp_table *tables;
    size_t n;
    const char *package; /* in the greeting and for query-version: who this is */
};

/* Of a table, for lists: "string", "boolean", … */
const char *qmp_type_name(enum qmp_type type);
bool qmp_type_is(enum qmp_type type, const json_t *value);
/* 0 where an object has these members and no others; the error names the first that is wrong. */
MUST_USE int qmp_check(const json_t *object, const struct qmp_argument *members, size_t n,
                       struct error *err);
