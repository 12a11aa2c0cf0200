#include "vmm/kvm_ring.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/shared.h"
#include "ram/block.h"

/* Two capabilities for the same ring. The first one requires acquire and release when entries are
 * accessed; we use them with both. */
static const uint32_t capabilities[] = {KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING};

uint32_t kvm_ring_capability(int fd, unsigned *ret_most)
{
    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
        int bytes = ioctl(fd, KVM_CHECK_EXTENSION, capabilities[i]);

        if (bytes > 0) {
            *ret_most = (unsigned)bytes / (unsigned)sizeof(struct kvm_dirty_gfn);
            return capabilities[i];
        }
    }
    return 0;
}

size_t kvm_ring_bytes(unsigned entries)
{
    return entries * sizeof(struct kvm_dirty_gfn);
}

int kvm_ring_map(struct kvm_ring *ring, int vcpu, unsigned entries, struct error *err)
{
    off_t at = (off_t)KVM_DIRTY_LOG_PAGE_OFFSET * (off_t)RAM_PAGE_SIZE;
    void *memory =
        mmap(NULL, kvm_ring_bytes(entries), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, at);

    if (memory == MAP_FAILED)
        return err_sys(err, "KVM: a vCPU's dirty ring");
    *ring = (struct kvm_ring){.entries = memory, .n = entries};
    return 0;
}

void kvm_ring_unmap(struct kvm_ring *ring)
{
    munmap(ring->entries, kvm_ring_bytes(ring->n));
}

static struct kvm_dirty_gfn *entry_of(const struct kvm_ring *ring)
{
    return &ring->entries[ring->next & (ring->n - 1)];
}

/* KVM fills an entry before it sets `flags`: acquire. */
const struct kvm_dirty_gfn *kvm_ring_next(const struct kvm_ring *ring)
{
    struct kvm_dirty_gfn *entry = entry_of(ring);
    uint32_t flags = shared_load_32(&entry->flags, memory_order_acquire);

    return flags & KVM_DIRTY_GFN_F_DIRTY ? entry : NULL;
}

/* KVM does not touch the entry again before we set its flags: release. */
void kvm_ring_give_back(struct kvm_ring *ring)
{
    shared_store_32(&entry_of(ring)->flags, KVM_DIRTY_GFN_F_RESET, memory_order_release);
    ring->next++;
}

/*
 * KVM, from Linux 6.16 on, stops halfway if the calling thread has a pending signal, and does not
 * report it: pages would be neither protected nor in a ring. vCPU threads get signals, so all are
 * blocked here.
 */
int kvm_ring_reset_all(const struct kvm *kvm, struct error *err)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int n = kvm_ioctl(kvm->vm, KVM_RESET_DIRTY_RINGS, NULL, "resetting dirty rings", err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n < 0 ? -1 : 0;
}
