/*
 * drive/monitor.h: one of two VMs between which a guest migrates, seen through its monitor. It may
 * be a QEMU of any version or one of ours: its answers are checked before they are used.
 *
 * A monitor belongs to one thread. Every error begins with the monitor's name.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "control/qmp_client.h"

#define MONITOR_WORD_MAX 40 /* of a run state or a status, with its terminator */

struct monitor {
    const char *name;          /* "FROM" or "TO" */
    const char *address;       /* as the user wrote it */
    bool local;                /* the VM is on this host */
    struct qmp_client *client; /* NULL: not open */
    uint64_t patience_ms;      /* for one answer; 0: for ever */
    /* monitor_learn() */
    char version[MONITOR_WORD_MAX]; /* "QEMU 7.2.22" */
    unsigned number;                /* 70222 */
    bool is_ramjet;
    bool can_stay;        /* knows exit-on-error of migrate-incoming */
    json_t *capabilities; /* {"multifd": false, …} */
    json_t *parameters;   /* {"downtime-limit": 300, …} */
};

/* `address`: a socket to dial, or libvirt:DOMAIN. It must live until the end.
 * `connect_timeout_ms` is for connecting and for the greeting; 0: for ever. End it with
 * monitor_close(). */
MUST_USE int monitor_open(struct monitor *m, const char *name, const char *address,
                          uint64_t connect_timeout_ms, uint64_t patience_ms, struct error *err);
/* A monitor that is all zeros is fine. */
void monitor_close(struct monitor *m);

/*
 * Executes a command. `arguments`, NULL or an object, is taken over. The caller owns *ret; `ret`
 * may be NULL. A command that the monitor refuses is ERR_PEER; monitor_refused() tells that from a
 * connection that has failed.
 */
MUST_USE int monitor_ask(struct monitor *m, const char *command, json_t *arguments, json_t **ret,
                         struct error *err);
bool monitor_refused(const struct monitor *m);
/* Whether the VM is on this host; and whether it surely runs as the same user as we. */
bool monitor_is_local(const struct monitor *m);
bool monitor_is_ours(const struct monitor *m);

/* query-status: "running", "inmigrate", … */
MUST_USE int monitor_run_state(struct monitor *m, char ret[static MONITOR_WORD_MAX],
                               struct error *err);
/* query-migrate's answer, always an object; the caller owns it. */
MUST_USE int monitor_migration(struct monitor *m, json_t **ret, struct error *err);
/* Asks for version, capabilities and parameters. Call it again for their present values. */
MUST_USE int monitor_learn(struct monitor *m, struct error *err);
