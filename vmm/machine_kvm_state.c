#include <stdlib.h>

#include "vmm/machine_kvm_inside.h"
#include "vmm/vm_state.h"

/* All state of a machine, while it is saved or loaded. */
struct machine_state {
    struct machine_guest_state guest;
    struct vm_state vm;
    struct vcpu_state vcpus[GUEST_CPUS_MAX];
};

#define DEVICES_MAX (MACHINE_GUEST_DEVICES + VM_DEVICES + GUEST_CPUS_MAX * VCPU_DEVICES)

static size_t list_devices(const struct machine_kvm *m, struct machine_state *s,
                           struct device ret[static DEVICES_MAX])
{
    size_t n = MACHINE_GUEST_DEVICES;

    machine_guest_devices(&s->guest, ret);
    vm_state_devices(&s->vm, ret + n);
    n += VM_DEVICES;
    for (unsigned i = 0; i < m->n_vcpus; i++, n += VCPU_DEVICES)
        vcpu_state_devices(&s->vcpus[i], i, ret + n);
    return n;
}

static int read_state(struct machine_kvm *m, struct machine_state *s, struct error *err)
{
    machine_guest_read(&m->guest, &s->guest);
    for (unsigned i = 0; i < m->n_vcpus; i++) {
        if (vcpu_read(m->vcpus[i], &s->vcpus[i], err) < 0)
            return -1;
    }
    return vm_state_read(m->kvm.vm, m->tsc_khz, &s->vm, err);
}

static int write_state(struct machine_kvm *m, const struct machine_state *s, struct error *err)
{
    uint64_t elapsed_ticks;

    if (vm_state_write(m->kvm.vm, &s->vm, m->tsc_khz, &elapsed_ticks, err) < 0)
        return -1;
    for (unsigned i = 0; i < m->n_vcpus; i++) {
        if (vcpu_write(m->vcpus[i], &s->vcpus[i], elapsed_ticks, err) < 0)
            return -1;
    }
    return machine_guest_write(&m->guest, &s->guest, err);
}

int machine_kvm_save(struct machine *base, struct error *err)
{
    struct machine_kvm *m = kvm_of(base);
    struct machine_state *s = calloc(1, sizeof(*s));
    struct device devices[DEVICES_MAX];

    if (!s)
        return err_sys(err, "memory for the machine's state");
    size_t n = list_devices(m, s, devices);
    int rc = read_state(m, s, err);
    if (rc == 0)
        rc = devices_save(devices, n, &base->devices.tail, err);
    free(s);
    return rc;
}

int machine_kvm_load(struct machine *base, const struct device_state *from, struct error *err)
{
    struct machine_kvm *m = kvm_of(base);
    struct machine_state *s = calloc(1, sizeof(*s));
    struct device devices[DEVICES_MAX];

    if (!s)
        return err_sys(err, "memory for the machine's state");
    size_t n = list_devices(m, s, devices);
    int rc = machine_guest_expect(from, false, err);
    if (rc == 0)
        rc = devices_load(devices, n, &from->early, &from->tail, err);
    if (rc == 0)
        rc = write_state(m, s, err);
    free(s);
    return rc;
}
