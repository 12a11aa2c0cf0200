/*
 * vmm/machine_guest.h: the common part of all machines that run a guest: its memory, the reasons
 * why it is paused, the vCPU throttle, the guest's report, and the sections about these. Knows no
 * vCPU: a machine under KVM (vmm/machine_kvm.h) embeds it, and so does one whose vCPUs are threads
 * (vmm/machine_synth_guest.h).
 */
#pragma once

#include <pthread.h>

#include "migration/machine.h"
#include "stream/device.h"
#include "vmm/dirty_kind.h"
#include "vmm/guest_report.h"
#include "vmm/memory_backend.h"
#include "vmm/serial.h"
#include "vmm/vcpu_throttle.h"

#define GUEST_HEARTBEAT_MS 1

struct machine_guest_config {
    const char *guest;   /* "NAME[,key=value…]": vmm/guest_options.h; NULL with `payload` */
    const char *payload; /* a user's own guest, a file: vmm/payload.h; under KVM only */
    uint64_t bytes;      /* of memory: a multiple of 2 MiB, from 4 MiB to 64 GiB */
    unsigned cpus;       /* 1 to GUEST_CPUS_MAX */
    bool incoming;       /* waits for its guest: has neither; also paused as MACHINE_MOVING */
    bool eager;          /* with incoming: all of a file is read before the guest goes on */
    bool keep_files;     /* with incoming: a file of shared memory exists, and stays as it is */
    struct memory_backing_config backing; /* zeroed: anonymous memory */
    /* Other RAM blocks, each mapped into the guest; at most MEMORY_MAPPED_MAX. */
    const struct memory_backend_config *more;
    size_t n_more;
    /* Memory of migratable blocks that was handed over, by their names; blocks take theirs out of
     * it. NULL: all memory is made here. */
    struct cpr_state *handed;
    enum dirty_kind dirty;
    unsigned dirty_ring;      /* entries, with DIRTY_RING alone; 0: DIRTY_RING_DEFAULT */
    serial_sink *serial_sink; /* where the serial port's bytes go; NULL: nowhere */
    void *serial_arg;
};

struct machine_guest {
    struct machine base;
    struct machine_ops ops; /* base's */

    /* Set before the guest runs, read-only after. */
    int memory_fds[1 + MEMORY_MAPPED_MAX]; /* behind each RAM block, or -1 */
    /* Set by the embedder; called on any thread but a vCPU's, one call at a time: run() lets all
     * vCPUs run; pause() stops all, and returns when they stand still. */
    void (*run)(struct machine_guest *g);
    void (*pause)(struct machine_guest *g);

    /* Stopping and resuming, under `control`; no vCPU's thread takes that lock. */
    pthread_mutex_t control;
    unsigned paused_for; /* enum pause_reason, and the vCPU throttle's */

    struct vcpu_throttle vcpu_throttle;
    struct guest_report report; /* any thread, under its own lock */
    struct serial serial;       /* the same */
};

static inline struct machine_guest *machine_guest_of(struct machine *m)
{
    return CONTAINER_OF(m, struct machine_guest, base);
}

/* Any thread: the guest's report, until the machine is freed. */
struct guest_report *machine_guest_report(struct machine *m);

/* --- for machines that embed it -------------------------------------------------------------- */

/* ERR_USAGE: a configuration that no machine can have. */
MUST_USE int machine_guest_check(const struct machine_guest_config *config, struct error *err);
/* The machine starts paused as MACHINE_PAUSED. `ops` has the embedder's functions; those for
 * stopping, slowing and activating memory are added. */
void machine_guest_init(struct machine_guest *g, const struct machine_guest_config *config,
                        const struct machine_ops *ops);
/* Makes its blocks and their memory; main memory is the first block. */
MUST_USE int machine_guest_map(struct machine_guest *g, const struct machine_guest_config *config,
                               struct error *err);
/* Before the vCPUs end: after this the vCPU throttle no longer stops them or lets them run. */
void machine_guest_let_go(struct machine_guest *g);
/* After the vCPUs have ended. */
void machine_guest_done(struct machine_guest *g);

/* How long a vCPU sleeps that asks for a wait of so many ticks; a second at most. */
uint64_t machine_guest_wait_ns(const struct machine_guest *g, uint64_t ticks);

/* Whether its user has paused it, which a migration carries over. */
struct run_state {
    uint8_t paused;
};

/* This part of a machine's state, while it is saved or loaded. */
struct machine_guest_state {
    struct run_state run;
    struct serial_state serial;
    struct guest_report_state guest;
};

#define MACHINE_GUEST_DEVICES 3

void machine_guest_devices(struct machine_guest_state *s,
                           struct device ret[static MACHINE_GUEST_DEVICES]);
/* While the guest is paused. */
void machine_guest_read(struct machine_guest *g, struct machine_guest_state *ret);
/* Takes over the state that has come. ERR_PEER where it cannot be true. */
MUST_USE int machine_guest_write(struct machine_guest *g, const struct machine_guest_state *s,
                                 struct error *err);

/* The section that only a machine without KVM has: its program and its clock. */
#define DEVICE_SYNTH "synth"

/* ERR_PEER where the sections are of a guest of the other kind: under KVM, or not. */
MUST_USE int machine_guest_expect(const struct device_state *from, bool synth, struct error *err);
