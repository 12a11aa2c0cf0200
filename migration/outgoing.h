/*
 * migration/outgoing.h: the source: setup → rounds → switch-over → done.
 */
#pragma once

#include <stdbool.h>

#include "base/cpus.h"
#include "base/uuid.h"
#include "compress/codec.h"
#include "migration/connect.h"
#include "migration/live.h"
#include "migration/machine.h"
#include "migration/observer.h"
#include "migration/ram_set.h"
#include "migration/stats.h"

struct outgoing_config {
    struct connect_config connect;
    unsigned n_channels; /* 0 … 255; 0: main's thread has the pages */
    enum codec_method method;
    int level;                       /* of the method */
    bool mapped_ram;                 /* into a file, every page at its own place */
    bool direct_io;                  /* pages go there past the page cache */
    struct ram_set_rules ram;        /* which blocks travel */
    bool return_path;                /* ask the destination for its verdict, and wait for it */
    bool switchover_ack;             /* stop the guest when the destination has said it is ready */
    bool pause_before_switchover;    /* then wait for outgoing_continue() */
    bool auto_converge;              /* take time from a guest that writes too fast, */
    bool dirty_limit;                /* or limit what each of its vCPUs writes; not both */
    const struct cpu_places *places; /* where the channels' threads run; NULL: anywhere */
    struct outgoing_live live;
    bool stop_first; /* the guest stands still from the start */
    bool hand_over;  /* its memory goes to who listens at `cpr`, before anything else */
    struct address cpr;
    /*
     * All is in the file, and the guest stands still. What comes of it is no longer this program's:
     * it does not return; or it fails, and so does the migration. NULL: there is no such step.
     */
    int (*replace)(void *arg, struct error *err);
    void *replace_arg;
    struct uuid uuid; /* of the VM, for the channels' hellos */
    struct migration_observer observer;
};

struct outgoing;

/* The machine must outlive the migration. Its set of RAM blocks is frozen from here on: its owner
 * adds and removes none that is listed, until outgoing_free(). */
MUST_USE int outgoing_new(const struct outgoing_config *config, struct machine *machine,
                          struct outgoing **ret, struct error *err);
/*
 * Runs the migration to its end on the calling thread. After a failure, or a cancel, which is
 * ERR_CANCELLED, the machine runs on as before; after success it is held (MACHINE_MOVING), and so
 * it is where a cancel came too late and the destination, which has everything, says nothing. Once.
 */
MUST_USE int outgoing_run(struct outgoing *m, struct error *err);
/* Any thread, any time until outgoing_free(): takes effect at once. */
void outgoing_update(struct outgoing *m, const struct outgoing_live *live);
/* Any thread, any time until outgoing_free(): leaves pre-switchover; ERR_USAGE where it is not
 * there. */
MUST_USE int outgoing_continue(struct outgoing *m, struct error *err);
/* Any thread, any time until outgoing_free(): the status is cancelling at once, and outgoing_run()
 * ends soon; without effect once the destination may have all it needs. */
void outgoing_cancel(struct outgoing *m);
/* Any thread, any time until outgoing_free(). */
void outgoing_stats(struct outgoing *m, struct migration_snapshot *ret);
void outgoing_free(struct outgoing *m);
