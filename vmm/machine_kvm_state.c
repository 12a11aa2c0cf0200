#include <stdlib.h>

#include "vmm/machine_kvm_inside.h"
#include "vmm/vm_state.h"

/* Its user's hold, which a migration carries over. */
struct run_state {
    uint8_t paused;
};

/* All of it, while it is saved or loaded. */
struct machine_state {
    struct run_state run;
    struct serial_state serial;
    struct guest_report_state guest;
    struct vm_state vm;
    struct vcpu_state vcpus[GUEST_CPUS_MAX];
};

#define DEVICES_MAX (3 + VM_DEVICES + GUEST_CPUS_MAX * VCPU_DEVICES)

static const struct field run_fields[] = {FIELD(struct run_state, paused)};
static const struct field_table run_table = {"run-state", run_fields, ARRAY_LEN(run_fields)};

static const struct field serial_fields[] = {
    FIELD(struct serial_state, ier), FIELD(struct serial_state, fcr),
    FIELD(struct serial_state, lcr), FIELD(struct serial_state, mcr),
    FIELD(struct serial_state, scr), FIELD(struct serial_state, dll),
    FIELD(struct serial_state, dlm)};
static const struct field_table serial_table = {"serial", serial_fields, ARRAY_LEN(serial_fields)};

static const struct field voice_fields[] = {
    FIELD(struct guest_voice_state, heartbeats), FIELD(struct guest_voice_state, tsc),
    FIELD(struct guest_voice_state, verified), FIELD(struct guest_voice_state, written)};
static const struct field_table voice_table = {"voice", voice_fields, ARRAY_LEN(voice_fields)};

static const struct field guest_fields[] = {
    FIELD(struct guest_report_state, n_vcpus),
    FIELD(struct guest_report_state, shared),
    FIELD(struct guest_report_state, longest_gap_us),
    FIELD(struct guest_report_state, moves),
    FIELD(struct guest_report_state, errors),
    FIELD(struct guest_report_state, ended),
    FIELD(struct guest_report_state, exit_code),
    FIELD_ARRAY(struct guest_report_state, facts),
    FIELD_STRUCTS(struct guest_report_state, voices, &voice_table),
};
static const struct field_table guest_table = {"guest", guest_fields, ARRAY_LEN(guest_fields)};

static size_t list_devices(const struct machine_kvm *m, struct machine_state *s,
                           struct device ret[static DEVICES_MAX])
{
    size_t n = 0;

    ret[n++] = (struct device){"run-state", 0, &run_table, &s->run};
    ret[n++] = (struct device){"serial", 0, &serial_table, &s->serial};
    ret[n++] = (struct device){"guest", 0, &guest_table, &s->guest};
    vm_state_devices(&s->vm, ret + n);
    n += VM_DEVICES;
    for (unsigned i = 0; i < m->n_vcpus; i++, n += VCPU_DEVICES)
        vcpu_state_devices(&s->vcpus[i], i, ret + n);
    return n;
}

static int read_state(struct machine_kvm *m, struct machine_state *s, struct error *err)
{
    s->run.paused = machine_is_held(&m->base, MACHINE_PAUSED);
    s->serial = m->serial.state;
    guest_report_get_state(&m->report, &s->guest);
    for (unsigned i = 0; i < m->n_vcpus; i++) {
        if (vcpu_read(m->vcpus[i], &s->vcpus[i], err) < 0)
            return -1;
    }
    return vm_state_read(m->kvm.vm, m->tsc_khz, &s->vm, err);
}

static int write_state(struct machine_kvm *m, const struct machine_state *s, struct error *err)
{
    uint64_t elapsed_ticks;

    if (guest_report_set_state(&m->report, &s->guest, err) < 0)
        return err_in(err, "device 'guest' 0");
    m->serial.state = s->serial;
    if (vm_state_write(m->kvm.vm, &s->vm, m->tsc_khz, &elapsed_ticks, err) < 0)
        return -1;
    for (unsigned i = 0; i < m->n_vcpus; i++) {
        if (vcpu_write(m->vcpus[i], &s->vcpus[i], elapsed_ticks, err) < 0)
            return -1;
    }
    return s->run.paused ? machine_stop(&m->base, MACHINE_PAUSED, err) : 0;
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
    int rc = devices_load(devices, n, &from->early, &from->tail, err);
    if (rc == 0)
        rc = write_state(m, s, err);
    free(s);
    return rc;
}
