/*
 * migration/machine.h: what migration needs of a VM, and what a destination needs of the place
 * where a VM's memory and devices land. Implemented above, in vmm/.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "ram/block.h"
#include "ram/dirty_source.h"
#include "ram/file_mapping.h"
#include "stream/configuration.h"

/* Sections as they lie in the stream, for those who know no device. */
struct device_state {
    struct buf early; /* whole 0x04 sections that stand before RAM's last one */
    struct buf tail;  /* from behind RAM's last section through the description */
};

void device_state_done(struct device_state *d);

struct machine;

/* Why a guest stands still. It runs while there is no reason left. */
enum machine_hold {
    MACHINE_PAUSED = 1 << 0, /* its user wants it so */
    MACHINE_MOVING = 1 << 1, /* a migration has stopped it, or it has not arrived yet */
};

/* stop() and resume(): any thread. Where nothing is said: the thread of the migration. */
struct machine_ops {
    /* The guest stands still when this returns, whatever else held it. NULL: it always does. */
    int (*stop)(struct machine *m, enum machine_hold why, struct error *err);
    /* Takes a reason back; without it before, nothing happens. NULL as above. */
    void (*resume)(struct machine *m, enum machine_hold why);
    /* Whether it is held for this reason; any thread. NULL: it never is. */
    bool (*is_held)(struct machine *m, enum machine_hold why);
    /* The guest stands still: makes `devices` what they are now. NULL: they never change. */
    int (*save)(struct machine *m, struct error *err);
    /* It stands still, and its memory is in place: becomes what `devices`, which come from anyone,
     * say, held by its user where it was. NULL: it is no destination. */
    int (*load)(struct machine *m, const struct device_state *devices, struct error *err);
    /* Memory that can be opened by a file's name is one guest's at a time. It stands still: leaves
     * it to a guest elsewhere. NULL: it has no such memory. */
    void (*yield)(struct machine *m);
    /* Takes it back, or over, before the guest runs: fails where another has it. NULL as
     * above; once more does no harm. */
    int (*claim)(struct machine *m, struct error *err);
    /* Takes so many percent, 0 to 99, of all vCPUs' time. NULL: this guest cannot be slowed. */
    void (*throttle)(struct machine *m, unsigned percent);
    /* Keeps each vCPU from writing more pages than this makes; 0: no limit. NULL: as above. */
    void (*limit_dirty)(struct machine *m, uint64_t bytes_per_s);
    void (*free)(struct machine *m);
};

/* A source. */
struct machine {
    const struct machine_ops *ops;
    struct configuration config;
    struct ram_map ram;         /* every block with its host memory */
    struct dirty_source *dirty; /* NULL: no page changes */
    struct device_state devices;
    bool filled; /* a landing has begun to: what comes next would not find its memory zero */
};

/* The ops of these names, where there are any. */
MUST_USE int machine_stop(struct machine *m, enum machine_hold why, struct error *err);
void machine_resume(struct machine *m, enum machine_hold why);
bool machine_is_held(struct machine *m, enum machine_hold why);
void machine_yield(struct machine *m);
MUST_USE int machine_claim(struct machine *m, struct error *err);
/* NULL is fine. */
void machine_free(struct machine *m);

struct landing;

/* Called by the thread in incoming_run(), in this order. */
struct landing_ops {
    /* The block list is complete: gives every block its memory or its store. Configuration and
     * early devices are known; a UUID may still be added to the former. */
    int (*listed)(struct landing *l, const struct configuration *config,
                  const struct device_state *devices, struct ram_map *ram, struct error *err);
    /* All is there and has been checked: does everything that can fail, and whatever takes long.
     * The map is still valid. NULL: there is nothing to be done. */
    int (*prepare)(struct landing *l, const struct configuration *config, const struct ram_map *ram,
                   const struct device_state *devices, struct error *err);
    /* Gives it its name, or lets the guest run. NULL as above. */
    int (*commit)(struct landing *l, struct error *err);
    /* Prepared, and nobody can say whether the source goes on: what is here must not be lost, and
     * must not run. NULL: it stays by itself. */
    int (*keep)(struct landing *l, struct error *err);
    /* Behind that: what of its memory is a file's still becomes its own, while the guest runs. A
     * cancel ends it, and is ERR_CANCELLED. NULL: listed() has no block that is replaceable. */
    int (*take_over)(struct landing *l, struct file_mapping *mapping, const struct cancel *cancel,
                     struct error *err);
    /* Without a commit() before: leaves nothing behind. */
    void (*free)(struct landing *l);
};

/* A destination. */
struct landing {
    const struct landing_ops *ops;
};

/* The ops of these names, where there are any. */
MUST_USE int landing_prepare(struct landing *l, const struct configuration *config,
                             const struct ram_map *ram, const struct device_state *devices,
                             struct error *err);
MUST_USE int landing_commit(struct landing *l, struct error *err);
/* NULL is fine. */
void landing_free(struct landing *l);
