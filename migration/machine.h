/*
 * migration/machine.h: what a migration needs from a VM, and what a destination needs from the
 * place where a VM's memory and devices arrive. Implemented above, in vmm/ and
 * capture/.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "ram/block.h"
#include "ram/dirty_source.h"
#include "ram/file_mapping.h"
#include "stream/configuration.h"

#define RAMJET_MACHINE "ramjet-1.0" /* the type of machines that are not QEMU's */

/* Device sections, byte for byte as in the stream, for code that knows no device. */
struct device_state {
    struct buf early; /* whole 0x04 sections that come before RAM's last section */
    struct buf tail;  /* all that follows RAM's last section, through the description */
};

void device_state_done(struct device_state *d);

struct machine;

/* The reasons why a guest is paused. It runs when there is none. */
enum pause_reason {
    MACHINE_PAUSED = 1 << 0, /* its user has paused it */
    MACHINE_MOVING = 1 << 1, /* a migration has stopped it, or it has not arrived yet */
};

/* Any thread may call stop() and resume(). The others are called by the thread of the migration,
 * unless they say otherwise. */
struct machine_ops {
    /* The guest is paused when this returns, whatever other reasons there are. NULL: it is always
     * paused. */
    int (*stop)(struct machine *m, enum pause_reason why, struct error *err);
    /* Removes a reason; nothing happens where it was not there. NULL as above. */
    void (*resume)(struct machine *m, enum pause_reason why);
    /* Whether the guest is paused for this reason; any thread. NULL: it never is. */
    bool (*is_paused_for)(struct machine *m, enum pause_reason why);
    /* The guest is paused: brings `devices` up to date. NULL: they never change. */
    int (*save)(struct machine *m, struct error *err);
    /* The guest is paused, and its memory is in place: takes over the state in `devices`, which may
     * come from anyone. If the user had paused the guest at the source, it is paused here too.
     * NULL: this machine is no destination. */
    int (*load)(struct machine *m, const struct device_state *devices, struct error *err);
    /* Memory that can be opened by a file's name belongs to one guest at a time. The guest is
     * paused: gives such memory up to a guest elsewhere. NULL: it has no such memory. */
    void (*deactivate)(struct machine *m);
    /* Takes such memory, or takes it back, before the guest runs. Fails where another guest has it.
     * NULL as above; a second call does no harm. */
    int (*activate)(struct machine *m, struct error *err);
    /* Takes this share of all vCPUs' time, 0 to 99 percent. NULL: this guest cannot be slowed
     * down. */
    void (*throttle)(struct machine *m, unsigned percent);
    /* Keeps each vCPU from writing pages faster than this; 0: no limit. NULL as above. */
    void (*limit_dirty)(struct machine *m, uint64_t bytes_per_s);
    void (*free)(struct machine *m);
};

/* What can be migrated, or waits for a guest. */
struct machine {
    const struct machine_ops *ops;
    struct configuration config;
    struct ram_map ram;         /* every block with its host memory */
    struct dirty_source *dirty; /* NULL: no page changes */
    struct device_state devices;
    bool filled; /* a target has begun to fill it: another would not find its memory zero */
};

/* Each calls the op of its name, if there is one. */
MUST_USE int machine_stop(struct machine *m, enum pause_reason why, struct error *err);
void machine_resume(struct machine *m, enum pause_reason why);
bool machine_is_paused_for(struct machine *m, enum pause_reason why);
void machine_deactivate(struct machine *m);
MUST_USE int machine_activate(struct machine *m, struct error *err);
/* NULL is fine. */
void machine_free(struct machine *m);

struct target;

struct target_ops {
    /* It runs no guest, so it needs no page before the last one: the source may switch to
     * postcopy. */
    bool bears_postcopy;
    /* The others are called by the thread in destination_run(), in this order. */
    /* The block list is complete: gives every block its memory or its store. `config` and the early
     * devices are known; a UUID may still be added to `config`. */
    int (*listed)(struct target *l, const struct configuration *config,
                  const struct device_state *devices, struct ram_map *ram, struct error *err);
    /* Everything has come and has been checked: does all that can fail or take long. `ram` is still
     * valid. NULL: there is nothing to do. */
    int (*prepare)(struct target *l, const struct configuration *config, const struct ram_map *ram,
                   const struct device_state *devices, struct error *err);
    /* Gives the result its final name, or lets the guest run. NULL as above. */
    int (*commit)(struct target *l, struct error *err);
    /* After prepare(), where nobody can say whether the source goes on: what is here must neither
     * be lost nor run. NULL: it stays by itself. */
    int (*keep)(struct target *l, struct error *err);
    /* After commit(), while the guest runs: memory that is still mapped from a file becomes the
     * guest's own. A cancel ends this, with ERR_CANCELLED. NULL: listed() makes no block
     * replaceable. */
    int (*take_over)(struct target *l, struct file_mapping *mapping, const struct cancel *cancel,
                     struct error *err);
    /* Where there was no commit(): leaves nothing behind. */
    void (*free)(struct target *l);
};

/* A destination. */
struct target {
    const struct target_ops *ops;
};

/* Each calls the op of its name, if there is one. */
MUST_USE int target_prepare(struct target *l, const struct configuration *config,
                            const struct ram_map *ram, const struct device_state *devices,
                            struct error *err);
MUST_USE int target_commit(struct target *l, struct error *err);
/* NULL is fine. */
void target_free(struct target *l);
