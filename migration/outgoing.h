/*
 * migration/outgoing.h: the source: setup → rounds → switch-over → done.
 */
#pragma once

#include <stdbool.h>

#include "base/uuid.h"
#include "compress/codec.h"
#include "migration/connect.h"
#include "migration/machine.h"
#include "migration/observer.h"
#include "migration/stats.h"

/* What may change while a migration runs. */
struct outgoing_live {
    uint64_t max_bytes_per_s;        /* over all connections; 0: no limit */
    uint64_t downtime_limit_ms;      /* the guest is stopped when the rest takes no longer */
    uint64_t switchover_bytes_per_s; /* at which the rest will be sent; 0: as measured */
    /* Of auto-converge and dirty-limit: what the guest may write anew, of what was sent. */
    unsigned throttle_trigger_percent;
    /* Of auto-converge: what is taken from its vCPUs at first, in addition, and at most. */
    unsigned throttle_initial_percent, throttle_increment_percent, throttle_max_percent;
    bool throttle_tailslow;          /* add no more than is needed */
    uint64_t vcpu_dirty_bytes_per_s; /* of dirty-limit: what each vCPU may write */
};

struct outgoing_config {
    struct connect_config connect;
    unsigned n_channels; /* 0 … 255; 0: pages in the main stream */
    enum codec_method method;
    int level;                    /* of the method */
    bool return_path;             /* ask the destination for its verdict, and wait for it */
    bool switchover_ack;          /* stop the guest when the destination has said it is ready */
    bool pause_before_switchover; /* then wait for outgoing_continue() */
    bool auto_converge;           /* take time from a guest that writes too fast, */
    bool dirty_limit;             /* or limit what each of its vCPUs writes; not both */
    struct outgoing_live live;
    struct uuid uuid; /* of the VM, for the channels' hellos */
    struct migration_observer observer;
};

struct outgoing;

/* The machine must outlive the migration; nobody else may change its map meanwhile. */
MUST_USE int outgoing_new(const struct outgoing_config *config, struct machine *machine,
                          struct outgoing **ret, struct error *err);
/*
 * Runs the migration to its end on the calling thread. After a failure, or a cancel, which is
 * ERR_CANCELLED, the machine runs on as before; after success it is held (MACHINE_MOVING). Once.
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
