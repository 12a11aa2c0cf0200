#include "vmm/machine_kvm.h"

/* The runner's guests, and what they start with, are x86-64. Nothing is ever made here. */

int machine_kvm_usable(struct error *err)
{
    return err_set(err, ERR_SYSTEM, "guests run on x86-64 only");
}

int machine_kvm_new(const struct machine_kvm_config *config, struct machine_kvm **ret,
                    struct error *err)
{
    (void)config;
    (void)ret;
    return machine_kvm_usable(err);
}

void machine_kvm_free(struct machine_kvm *m)
{
    (void)m;
}

void machine_kvm_resume(struct machine_kvm *m)
{
    (void)m;
}

void machine_kvm_pause(struct machine_kvm *m)
{
    (void)m;
}

struct ram_block *machine_kvm_memory(struct machine_kvm *m)
{
    (void)m;
    return NULL;
}

struct guest_report *machine_kvm_report(struct machine_kvm *m)
{
    (void)m;
    return NULL;
}
