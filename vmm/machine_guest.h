/*
 * vmm/machine_guest.h: what a machine with a guest of its own has, whoever runs its vCPUs: its
 * memory, reasons to stand still, the brake, what the guest says, and the sections about these.
 * Knows no vCPU: a machine under KVM (vmm/machine_kvm.h) embeds it, and one whose vCPUs are
 * threads (vmm/machine_synth_guest.h).
 */
#pragma once

#include <pthread.h>

#include "migration/machine.h"
#include "stream/device.h"
#include "vmm/dirty_kind.h"
#include "vmm/guest_report.h"
#include "vmm/memory_backend.h"
#include "vmm/serial.h"
#include "vmm/vcpu_brake.h"

#define GUEST_HEARTBEAT_MS 1

struct machine_guest_config {
    const char *guest;   /* "NAME[,key=value…]": vmm/guest_options.h; or NULL: */
    const char *payload; /* a user's own, from this file: vmm/payload.h; under KVM only */
    uint64_t bytes;      /* of memory: a multiple of 2 MiB, from 4 MiB to 64 GiB */
    unsigned cpus;       /* 1 to GUEST_CPUS_MAX */
    bool incoming;       /* it waits for its guest, so neither; held as MACHINE_MOVING, too */
    bool eager;          /* and all of a file is read before that goes on */
    bool keep_files;     /* with incoming: shared memory of a file is there, and stays as it is */
    struct memory_backing_config backing; /* zeroed: anonymous memory */
    /* RAM blocks beside that, each mapped; at most MEMORY_MAPPED_MAX. */
    const struct memory_backend_config *more;
    size_t n_more;
    /* Memory of migratable blocks that was handed over, by their names: what is taken is taken out.
     * NULL: all of it is made. */
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
    /* All vCPUs, on any thread but theirs, one call at a time: lets them run; makes them stand
     * still, and returns when they do. */
    void (*run)(struct machine_guest *g);
    void (*hold)(struct machine_guest *g);

    /* Who stops it and lets it run, under `control`; no vCPU's thread takes that. */
    pthread_mutex_t control;
    unsigned holds; /* enum machine_hold, and the brake's */

    struct vcpu_brake brake;
    struct guest_report report; /* any thread, under its own lock */
    struct serial serial;       /* the same */
};

static inline struct machine_guest *machine_guest_of(struct machine *m)
{
    return CONTAINER_OF(m, struct machine_guest, base);
}

/* What the guest of such a machine says: any thread, until the machine is freed. */
struct guest_report *machine_guest_report(struct machine *m);

/* --- for those who embed it ------------------------------------------------------------------ */

/* ERR_USAGE: a configuration that no machine can have. */
MUST_USE int machine_guest_check(const struct machine_guest_config *config, struct error *err);
/* Held as MACHINE_PAUSED. `ops` has what is the embedder's; stopping and slowing are added. */
void machine_guest_init(struct machine_guest *g, const struct machine_guest_config *config,
                        const struct machine_ops *ops);
/* Its blocks, with their memory: main memory is the first. */
MUST_USE int machine_guest_map(struct machine_guest *g, const struct machine_guest_config *config,
                               struct error *err);
/* Before the vCPUs end: nobody stops them or lets them run any more. */
void machine_guest_let_go(struct machine_guest *g);
/* Behind that, when they have ended. */
void machine_guest_done(struct machine_guest *g);

/* How long a vCPU that asks for a wait of so many ticks is to sleep: not for ever. */
uint64_t machine_guest_wait_ns(const struct machine_guest *g, uint64_t ticks);

/* Its user's hold, which a migration carries over. */
struct run_state {
    uint8_t paused;
};

/* Its part of the machine's state, while that is saved or loaded. */
struct machine_guest_state {
    struct run_state run;
    struct serial_state serial;
    struct guest_report_state guest;
};

#define MACHINE_GUEST_DEVICES 3

void machine_guest_devices(struct machine_guest_state *s,
                           struct device ret[static MACHINE_GUEST_DEVICES]);
/* It stands still. */
void machine_guest_read(struct machine_guest *g, struct machine_guest_state *ret);
/* What has come goes on here: ERR_PEER where it cannot be. */
MUST_USE int machine_guest_write(struct machine_guest *g, const struct machine_guest_state *s,
                                 struct error *err);

/* The section that only a machine without KVM has, with how its guest goes on. */
#define DEVICE_SYNTH "synth"

/* ERR_PEER where sections are of a guest that was run otherwise: under KVM, or not. */
MUST_USE int machine_guest_expect(const struct device_state *from, bool synth, struct error *err);
