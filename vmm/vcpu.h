/*
 * vmm/vcpu.h: a vCPU and the thread that runs it, at CPL3 in long mode. Knows none of the guest's
 * messages: it passes them to its client.
 *
 * CPL3 is enough: the page tables have the user bit, and IOPL is 3 for OUT. A KVM that has to
 * emulate supervisor code (nested without hardware support) still runs such a guest natively.
 */
#pragma once

#include <stdbool.h>

#include "vmm/guest/ports.h"
#include "vmm/kvm.h"
#include "vmm/vcpu_state.h"

struct vcpu_client {
    /*
     * On the vCPU's thread: the guest has written 32 bits to a port, with these registers (rdi,
     * rsi, rcx). A failure ends the vCPU.
     */
    int (*out)(void *arg, unsigned vcpu, uint16_t port,
               const uint64_t words[static GUEST_MESSAGE_WORDS], struct error *err);
    /* On the vCPU's thread: one byte from or to a device's port. A failure ends the vCPU. */
    int (*byte)(void *arg, uint16_t port, bool is_out, uint8_t *byte, struct error *err);
    /* On the vCPU's thread, before it enters the guest: at first, and after each kick or nudge.
     * NULL: nothing. */
    void (*enter)(void *arg, unsigned vcpu);
    /* On the vCPU's thread: its dirty ring is full. NULL: it has none. A failure ends the vCPU. */
    int (*ring_full)(void *arg, unsigned vcpu, struct error *err);
    /* On the vCPU's thread: it has ended, for this reason. */
    void (*failed)(void *arg, unsigned vcpu, const struct error *err);
    void *arg;
};

/* How the vCPU starts: as if `entry` were called with one argument. Addresses in the guest. */
struct vcpu_start {
    uint64_t page_tables, entry, stack_top, argument;
    uint64_t gdt_base, idt_base;
    uint16_t gdt_limit, idt_limit;
};

struct vcpu;

/* The vCPU stands still when this returns. `kvm` and `client` outlive it. */
MUST_USE int vcpu_new(struct kvm *kvm, unsigned index, const struct vcpu_start *start,
                      const struct vcpu_client *client, struct vcpu **ret, struct error *err);
/* Ends the thread, wherever the guest is. NULL is fine. */
void vcpu_free(struct vcpu *v);

/* These four: any thread but the vCPU's. They do nothing to a vCPU that has failed. */
void vcpu_resume(struct vcpu *v);
/* Asks it to stand still; several can be asked before the first wait. */
void vcpu_kick(struct vcpu *v);
/* After vcpu_kick(): waits until it stands still. Then no message is half taken, and its state can
 * be read. */
void vcpu_wait(struct vcpu *v);

/* A vCPU that runs leaves the guest, calls the client's enter(), and enters the guest again. */
void vcpu_nudge(struct vcpu *v);

/* While it stands still; see vmm/vcpu_state.h. */
MUST_USE int vcpu_read(struct vcpu *v, struct vcpu_state *ret, struct error *err);
MUST_USE int vcpu_write(struct vcpu *v, const struct vcpu_state *state, uint64_t elapsed_ticks,
                        struct error *err);

/*
 * On the vCPU's thread, in a call to the client: sleeps for that long, or until the vCPU gets an
 * order or a nudge.
 */
void vcpu_sleep(struct vcpu *v, uint64_t ns);

/* The rate of its TSC. */
MUST_USE int vcpu_tsc_khz(struct vcpu *v, uint64_t *ret, struct error *err);

/* KVM's descriptor of the vCPU, which stays the vCPU's. */
int vcpu_fd(const struct vcpu *v);
