/*
 * vmm/machine_kvm.h: a guest under KVM: memory, vCPUs and what the guest says, under one owner. It
 * can be migrated, and be the place where a migration lands (vmm/landing.h).
 */
#pragma once

#include "migration/machine.h"
#include "vmm/dirty_kind.h"
#include "vmm/guest_report.h"
#include "vmm/memory_backing.h"
#include "vmm/serial.h"

struct machine_kvm_config {
    const char *guest;   /* "NAME[,key=value…]": vmm/guest_options.h; or NULL: */
    const char *payload; /* a user's own, from this file: vmm/payload.h */
    uint64_t bytes;      /* of memory: a multiple of 2 MiB, from 4 MiB to 64 GiB */
    unsigned cpus;       /* 1 to GUEST_CPUS_MAX */
    bool incoming;       /* it waits for its guest, so neither; held as MACHINE_MOVING, too */
    struct memory_backing_config backing; /* zeroed: anonymous memory */
    enum dirty_kind dirty;
    unsigned dirty_ring;      /* entries, with DIRTY_RING alone; 0: DIRTY_RING_DEFAULT */
    serial_sink *serial_sink; /* where the serial port's bytes go; NULL: nowhere */
    void *serial_arg;
};

/* 0 where this process can have a VM, else why not, as ERR_SYSTEM. */
MUST_USE int machine_kvm_usable(struct error *err);

/*
 * Made, and held as MACHINE_PAUSED at the payload's first instruction. ERR_USAGE: a configuration
 * that cannot be. machine_free() ends it, wherever the guest is.
 */
MUST_USE int machine_kvm_new(const struct machine_kvm_config *config, struct machine **ret,
                             struct error *err);
/* What the guest of such a machine says: any thread, until the machine is freed. */
struct guest_report *machine_kvm_report(struct machine *m);
