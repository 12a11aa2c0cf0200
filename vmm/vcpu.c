#include "vmm/vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/shared.h"
#include "base/thread.h"
#include "vmm/guest/params.h"

/* The signal that ends KVM_RUN; it does nothing else. Other signals are left to the library's user.
 */
#define KICK (SIGRTMIN + 1)

/* Registers' bits (Intel SDM, volume 3, 2.5, 2.2.1 and 3.4.3). */
#define CR0_PE         0x1U
#define CR0_MP         0x2U
#define CR0_ET         0x10U
#define CR0_NE         0x20U
#define CR0_WP         0x10000U
#define CR0_PG         0x80000000U
#define CR4_PAE        0x20U
#define CR4_OSFXSR     0x200U
#define CR4_OSXMMEXCPT 0x400U
#define CR4_OSXSAVE    0x40000U
#define EFER_LME       0x100U
#define EFER_LMA       0x400U
#define RFLAGS_ONE     0x2U
#define RFLAGS_IF      0x200U
#define RFLAGS_IOPL3   0x3000U

/* No TSC is slower than this, so tick counts fit 63 bits of µs. */
#define TSC_KHZ_MIN 10000

enum order { ORDER_PAUSE, ORDER_RUN, ORDER_END };

struct vcpu {
    /* Set before the thread starts, read-only after. */
    unsigned index;
    int fd;
    struct kvm_run *run; /* immediate_exit: any thread, atomically; else the thread's */
    size_t run_bytes;
    const struct vcpu_client *client;
    struct thread thread;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum order order;
    bool still; /* outside KVM_RUN, and waits for the next order */
};

/* --- the registers it starts with ------------------------------------------------------------ */

static int set_system_registers(int fd, const struct vcpu_start *start, uint64_t xcr0,
                                struct error *err)
{
    struct kvm_segment data = {
        .limit = UINT32_MAX,
        .selector = GUEST_DATA,
        .type = 3, /* read, write, accessed */
        .present = 1,
        .dpl = 3,
        .db = 1,
        .s = 1,
        .g = 1,
    };
    struct kvm_segment code = data;
    struct kvm_sregs s;

    if (kvm_ioctl(fd, KVM_GET_SREGS, &s, "a vCPU's system registers", err) < 0)
        return -1;
    code.selector = GUEST_CODE;
    code.type = 11; /* execute, read, accessed */
    code.db = 0;
    code.l = 1;
    s.cs = code;
    s.ds = s.es = s.fs = s.gs = s.ss = data;
    s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    s.cr3 = start->page_tables;
    s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | (xcr0 ? CR4_OSXSAVE : 0);
    s.efer = EFER_LME | EFER_LMA;
    s.gdt.base = start->gdt_base;
    s.gdt.limit = start->gdt_limit;
    s.idt.base = start->idt_base;
    s.idt.limit = start->idt_limit;
    return kvm_ioctl(fd, KVM_SET_SREGS, &s, "a vCPU's system registers", err);
}

static int set_vector_state(int fd, uint64_t xcr0, struct error *err)
{
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0].value = xcr0};

    return xcr0 ? kvm_ioctl(fd, KVM_SET_XCRS, &xcrs, "a vCPU's XCR0", err) : 0;
}

static int set_registers(int fd, const struct vcpu_start *start, struct error *err)
{
    struct kvm_regs regs = {
        .rip = start->entry,
        .rsp = start->stack_top - sizeof(uint64_t), /* the place of a return address */
        .rdi = start->argument,
        .rflags = RFLAGS_ONE | RFLAGS_IF | RFLAGS_IOPL3,
    };

    return kvm_ioctl(fd, KVM_SET_REGS, &regs, "a vCPU's registers", err);
}

/* --- what leaves the guest ------------------------------------------------------------------- */

static int take_bytes(struct vcpu *v, struct error *err)
{
    bool is_out = v->run->io.direction == KVM_EXIT_IO_OUT;
    uint8_t *bytes = (uint8_t *)v->run + v->run->io.data_offset;

    for (uint32_t i = 0; i < v->run->io.count; i++) {
        if (v->client->byte(v->client->arg, v->run->io.port, is_out, &bytes[i], err) < 0)
            return -1;
    }
    return 0;
}

static int take_port(struct vcpu *v, struct error *err)
{
    struct kvm_regs regs;

    if (v->run->io.size == 1)
        return take_bytes(v, err);

    if (v->run->io.direction != KVM_EXIT_IO_OUT || v->run->io.size != sizeof(uint32_t) ||
        v->run->io.count != 1)
        return err_set(err, ERR_PEER, "%s %u times %u bytes at port 0x%x, expected OUT of 4 bytes",
                       v->run->io.direction == KVM_EXIT_IO_OUT ? "OUT" : "IN", v->run->io.count,
                       v->run->io.size, v->run->io.port);
    if (kvm_ioctl(v->fd, KVM_GET_REGS, &regs, "a vCPU's registers", err) < 0)
        return -1;
    const uint64_t words[GUEST_MESSAGE_WORDS] = {regs.rdi, regs.rsi, regs.rcx};
    return v->client->out(v->client->arg, v->index, v->run->io.port, words, err);
}

/* The error has the instruction's address, which helps the payload's author. */
static int crashed(struct vcpu *v, const char *how, uint64_t detail, struct error *err)
{
    struct kvm_regs regs;

    if (kvm_ioctl(v->fd, KVM_GET_REGS, &regs, "a vCPU's registers", err) < 0)
        return -1;
    return err_set(err, ERR_PEER, "%s (0x%" PRIx64 ") at rip 0x%llx", how, detail, regs.rip);
}

static int take_exit(struct vcpu *v, struct error *err)
{
    struct kvm_run *run = v->run;

    switch (run->exit_reason) {
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        return 0;
    case KVM_EXIT_IO:
        return take_port(v, err);
    case KVM_EXIT_DIRTY_RING_FULL:
        return v->client->ring_full(v->client->arg, v->index, err);
    case KVM_EXIT_MMIO:
        return crashed(v, "touched an address without memory", run->mmio.phys_addr, err);
    case KVM_EXIT_SHUTDOWN:
        return crashed(v, "died of an exception", run->exit_reason, err);
    case KVM_EXIT_INTERNAL_ERROR:
        return crashed(v, "did what KVM cannot do", run->internal.suberror, err);
    case KVM_EXIT_FAIL_ENTRY:
        return crashed(v, "cannot be entered", run->fail_entry.hardware_entry_failure_reason, err);
    default:
        return crashed(v, "stopped for an unknown reason", run->exit_reason, err);
    }
}

/* --- its thread ------------------------------------------------------------------------------ */

/*
 * Runs until it is kicked. KVM returns a kick's EINTR only after it has completed the instruction
 * that left the guest last: so a vCPU that stands still has no OUT half done.
 */
static int run_guest(struct vcpu *v, struct error *err)
{
    if (v->client->enter)
        v->client->enter(v->client->arg, v->index);
    for (;;) {
        if (ioctl(v->fd, KVM_RUN, NULL) == 0) {
            if (take_exit(v, err) < 0)
                return -1;
        } else if (errno == EINTR) {
            return 0;
        } else if (errno != EAGAIN) {
            return err_sys(err, "KVM: running it");
        }
    }
}

/* Waits until the vCPU may run; false when it has to end. */
static bool next_order(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    while (v->order == ORDER_PAUSE) {
        v->still = true;
        pthread_cond_broadcast(&v->changed);
        pthread_cond_wait(&v->changed, &v->lock);
    }
    v->still = false;
    /* Under the lock, so that a later kick sets it again. */
    shared_store_8(&v->run->immediate_exit, 0, memory_order_relaxed);
    bool go = v->order == ORDER_RUN;
    pthread_mutex_unlock(&v->lock);
    return go;
}

/* Unblocks the kick on this thread. A kick that came earlier is taken now, and loses nothing: there
 * was no KVM_RUN yet that it had to end. */
static void let_kick_in(void)
{
    sigset_t kick;

    sigemptyset(&kick);
    sigaddset(&kick, KICK);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
}

static void *vcpu_main(void *arg)
{
    struct vcpu *v = arg;
    struct error err;

    let_kick_in();
    while (next_order(v)) {
        if (run_guest(v, &err) < 0) {
            err_in(&err, "guest, vCPU %u", v->index);
            v->client->failed(v->client->arg, v->index, &err);
            break;
        }
    }
    pthread_mutex_lock(&v->lock);
    v->order = ORDER_END;
    v->still = true;
    pthread_cond_broadcast(&v->changed);
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

/* With the lock held: ends KVM_RUN, or a sleep, or the wait for the next order. */
static void interrupt(struct vcpu *v)
{
    shared_store_8(&v->run->immediate_exit, 1, memory_order_relaxed);
    pthread_cond_broadcast(&v->changed);
    pthread_kill(v->thread.id, KICK);
}

static void give_order(struct vcpu *v, enum order order)
{
    pthread_mutex_lock(&v->lock);
    if (v->order != ORDER_END) {
        v->order = order;
        if (order == ORDER_RUN)
            v->still = false;
        interrupt(v);
    }
    pthread_mutex_unlock(&v->lock);
}

void vcpu_resume(struct vcpu *v)
{
    give_order(v, ORDER_RUN);
}

void vcpu_kick(struct vcpu *v)
{
    give_order(v, ORDER_PAUSE);
}

void vcpu_wait(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    while (!v->still)
        pthread_cond_wait(&v->changed, &v->lock);
    pthread_mutex_unlock(&v->lock);
}

void vcpu_nudge(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    if (v->order == ORDER_RUN)
        interrupt(v);
    pthread_mutex_unlock(&v->lock);
}

void vcpu_sleep(struct vcpu *v, uint64_t ns)
{
    uint64_t deadline = clock_ns() + ns;
    struct timespec until = deadline_timespec(deadline);

    pthread_mutex_lock(&v->lock);
    /* Every order and nudge sets immediate_exit, under the lock. */
    while (!shared_load_8(&v->run->immediate_exit, memory_order_relaxed) && clock_ns() < deadline)
        pthread_cond_clockwait(&v->changed, &v->lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&v->lock);
}

static void on_kick(int number)
{
    (void)number; /* KVM_RUN returns; nothing else is needed */
}

static int start_thread(struct vcpu *v, struct error *err)
{
    struct sigaction action = {.sa_handler = on_kick}; /* without SA_RESTART */

    sigaction(KICK, &action, NULL);
    return thread_start(&v->thread, vcpu_main, v, err, "vcpu-%u", v->index);
}

/* --- life ------------------------------------------------------------------------------------ */

int vcpu_fd(const struct vcpu *v)
{
    return v->fd;
}

static int map_run(struct vcpu *v, size_t bytes, struct error *err)
{
    void *run = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);

    if (run == MAP_FAILED)
        return err_sys(err, "KVM: a vCPU's page");
    v->run = run;
    v->run_bytes = bytes;
    return 0;
}

int vcpu_new(struct kvm *kvm, unsigned index, const struct vcpu_start *start,
             const struct vcpu_client *client, struct vcpu **ret, struct error *err)
{
    struct vcpu *v = calloc(1, sizeof(*v));

    if (!v)
        return err_sys(err, "memory for a vCPU");
    v->index = index;
    v->fd = -1;
    v->client = client;
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->changed, NULL);
    if (kvm_add_vcpu(kvm, index, &v->fd, err) < 0 || map_run(v, kvm->run_bytes, err) < 0 ||
        set_system_registers(v->fd, start, kvm->xcr0, err) < 0 ||
        set_vector_state(v->fd, kvm->xcr0, err) < 0 || set_registers(v->fd, start, err) < 0 ||
        start_thread(v, err) < 0) {
        vcpu_free(v);
        return -1;
    }
    *ret = v;
    return 0;
}

void vcpu_free(struct vcpu *v)
{
    if (!v)
        return;
    if (v->thread.running) {
        give_order(v, ORDER_END);
        thread_join(&v->thread);
    }
    if (v->run)
        munmap(v->run, v->run_bytes);
    fd_close(&v->fd);
    pthread_cond_destroy(&v->changed);
    pthread_mutex_destroy(&v->lock);
    free(v);
}

int vcpu_read(struct vcpu *v, struct vcpu_state *ret, struct error *err)
{
    return vcpu_state_read(v->fd, ret, err) < 0 ? err_in(err, "vCPU %u", v->index) : 0;
}

int vcpu_write(struct vcpu *v, const struct vcpu_state *state, uint64_t elapsed_ticks,
               struct error *err)
{
    return vcpu_state_write(v->fd, state, elapsed_ticks, err) < 0 ? err_in(err, "vCPU %u", v->index)
                                                                  : 0;
}

int vcpu_tsc_khz(struct vcpu *v, uint64_t *ret, struct error *err)
{
    int khz = kvm_ioctl(v->fd, KVM_GET_TSC_KHZ, NULL, "the TSC's rate", err);

    if (khz < 0)
        return -1;
    if (khz < TSC_KHZ_MIN)
        return err_set(err, ERR_SYSTEM, "KVM: a TSC of %d kHz", khz);
    *ret = (uint64_t)khz;
    return 0;
}
