/*
 * tests/support/monitored.h: a VM without a CPU, its monitor, and a client of it.
 */
#pragma once

#include <pthread.h>

#include "control/qmp_client.h"
#include "control/qmp_server.h"
#include "control/vm.h"
#include "tools/memory_commands.h"
#include "vmm/machine_synth.h"

#define MONITORED_EVENTS 8192

struct monitored {
    struct machine *machine;
    struct vm *vm;
    struct memory_backends *backends; /* the machine's block, noted */
    struct memory_commands memory;
    struct qmp_table tables[4];
    struct qmp_server *server;
    struct qmp_client *client;
    json_int_t last_pass; /* of MIGRATION_PASS, which is not among the events; 0: none */
    char
        events[MONITORED_EVENTS]; /* heard by the client: "NAME" or "NAME status", a space behind */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    unsigned n_over, n_landings;
    struct error failure;   /* that over() was told */
    const char *land_error; /* refuse to land, with this; NULL: do not */
    const char *list_error; /* the same, when the block list is there */
};

struct monitored_config {
    const char *name; /* of the monitor's socket, too */
    uint64_t bytes, dirty_bytes_per_s;
    bool waiting, paused;
    const char *uuid; /* NULL: none */
};

/* Runs, or waits; events are on, and no bandwidth is kept back. */
void monitored_start(struct monitored *m, const struct monitored_config *config);
void monitored_end(struct monitored *m);

/* `arguments`: JSON, its quotes may be single ones; NULL: none. The answer is the caller's. */
json_t *monitored_ask(struct monitored *m, const char *command, const char *arguments);
/* The same, and the answer does not matter. */
void monitored_tell(struct monitored *m, const char *command, const char *arguments);
void monitored_refused(struct monitored *m, const char *command, const char *arguments,
                       const char *part);

/* Until the client has heard all of `text` among the events. */
void monitored_await(struct monitored *m, const char *text);
void monitored_forget(struct monitored *m);
void monitored_await_over(struct monitored *m);

/* The run state and migration status, in one: "running/active". */
const char *monitored_state(struct monitored *m, char ret[static 64]);
/* Waiting, it listens at unix:NAME or tcp:127.0.0.1:0; `ret`: arguments for migrate to there. */
void monitored_listen(struct monitored *m, const char *uri, char ret[static 256]);
