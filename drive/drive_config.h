/*
 * drive/drive_config.h: what the user of drive/ chooses. Texts stay the caller's, and must live
 * until drive_free().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "settings/advice.h"
#include "settings/settings.h"

struct drive_config {
    struct settings settings; /* each is set at the end that uses it: drive/migrate_settings.h */
    const char *tls_creds_from, *tls_creds_to; /* for one end, instead of the setting; or NULL */
    const char *listen_host; /* where TO listens, at any port; NULL: the loopback */
    const char *uri;         /* instead: where TO listens, in full; if it does already, where FROM
                                reaches it; or NULL */
    uint64_t connect_timeout_ms; /* for connecting to a monitor; 0: for ever */
    uint64_t stall_timeout_ms;   /* for a monitor's answer, for cancelling, and for TO to take over;
                                    0: for ever */
    /* Limits of the migration; 0: none. */
    uint64_t limit_ms;
    uint64_t limit_rounds;
    bool limit_switches; /* there the guest is stopped, however long the rest takes; else all is
                            cancelled */
    /*
     * Called on the thread of drive_run() while the migration is under way, some twenty times a
     * second, with FROM's query-migrate, which it may keep a reference to; and with NULL when there
     * is no more to be watched. NULL: nobody watches.
     */
    void (*watch)(void *arg, json_t *migration);
    /* On the same thread, once: the rounds do not shrink. NULL: nobody is told. */
    void (*advise)(void *arg, const struct advice *advice);
    /*
     * Called by drive_open() with a line about what the user should know, though nothing is wrong.
     * NULL: nobody reads it.
     */
    void (*note)(void *arg, const char *text);
    void *arg; /* for all of them */
};

/* QEMU's settings, at any port of the loopback, 30 s for each wait, never cancelled. */
void drive_config_init(struct drive_config *ret);
