/*
 * tests/support/monitored.h: a VM without vCPUs, its monitor, and a client of the monitor.
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
    struct memory_backends *backends; /* with the machine's block */
    struct memory_commands memory;
    struct qmp_table tables[4];
    struct qmp_server *server;
    struct qmp_client *client;
    char address[300];             /* of the monitor */
    json_int_t last_pass;          /* of MIGRATION_PASS, which is not in `events`; 0: none */
    char events[MONITORED_EVENTS]; /* received by the client: "NAME " or "NAME status " */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    unsigned n_over, n_targets;
    struct error failure;   /* what over() was told */
    const char *land_error; /* the next land() fails with this; NULL: it does not */
    const char *list_error; /* the same for the target's listed() */
};

struct monitored_config {
    const char *name; /* also used for the monitor's socket */
    uint64_t bytes, dirty_bytes_per_s;
    bool waiting, paused;
    const char *uuid; /* NULL: none */
};

/* The VM then runs, is paused, or waits; events are on, and the bandwidth has no limit. */
void monitored_start(struct monitored *m, const struct monitored_config *config);
void monitored_end(struct monitored *m);

/* `arguments`: JSON that may use single quotes; NULL: none. The caller owns the answer. */
json_t *monitored_ask(struct monitored *m, const char *command, const char *arguments);
/* The same for a command whose answer does not matter. */
void monitored_tell(struct monitored *m, const char *command, const char *arguments);
void monitored_refused(struct monitored *m, const char *command, const char *arguments,
                       const char *part);

/* Returns when `events` contains `text`. */
void monitored_await(struct monitored *m, const char *text);
void monitored_forget(struct monitored *m);
void monitored_await_over(struct monitored *m);

/* The run state and migration status, in one: "running/active". */
const char *monitored_state(struct monitored *m, char ret[static 64]);
/* Makes a waiting VM listen at unix:NAME or tcp:127.0.0.1:0. `ret`: the arguments of a `migrate` to
 * it. */
void monitored_listen(struct monitored *m, const char *uri, char ret[static 256]);
