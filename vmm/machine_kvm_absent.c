#include "vmm/dirty_ring.h"
#include "vmm/kvm.h"
#include "vmm/machine_kvm.h"

/* The runner's guests, and the state in which they start, are x86-64. On other hosts no machine is
 * made. */

int kvm_usable(struct error *err)
{
    return err_set(err, ERR_SYSTEM, "guests run on x86-64 only");
}

int machine_kvm_usable(struct error *err)
{
    return kvm_usable(err);
}

int machine_kvm_new(const struct machine_guest_config *config, struct machine **ret,
                    struct error *err)
{
    (void)config;
    (void)ret;
    return kvm_usable(err);
}

int dirty_ring_usable(struct error *err)
{
    return kvm_usable(err);
}

bool machine_kvm_present(void)
{
    return false;
}
