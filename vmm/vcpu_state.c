#include "vmm/vcpu_state.h"

#include <sys/ioctl.h>

#include "base/macros.h"
#include "vmm/kvm.h"

/* --- the fields of each part ----------------------------------------------------------------- */

#define TABLE(name, fields)                                                                        \
    static const struct field_table name##_table = {#name, fields, ARRAY_LEN(fields)}

static const struct field mp_state_fields[] = {FIELD(struct kvm_mp_state, mp_state)};
TABLE(mp_state, mp_state_fields);

static const struct field segment_fields[] = {
    FIELD(struct kvm_segment, base),     FIELD(struct kvm_segment, limit),
    FIELD(struct kvm_segment, selector), FIELD(struct kvm_segment, type),
    FIELD(struct kvm_segment, present),  FIELD(struct kvm_segment, dpl),
    FIELD(struct kvm_segment, db),       FIELD(struct kvm_segment, s),
    FIELD(struct kvm_segment, l),        FIELD(struct kvm_segment, g),
    FIELD(struct kvm_segment, avl),      FIELD(struct kvm_segment, unusable),
};
TABLE(segment, segment_fields);

static const struct field dtable_fields[] = {FIELD(struct kvm_dtable, base),
                                             FIELD(struct kvm_dtable, limit)};
TABLE(dtable, dtable_fields);

static const struct field sregs_fields[] = {
    FIELD_STRUCT(struct kvm_sregs, cs, &segment_table),
    FIELD_STRUCT(struct kvm_sregs, ds, &segment_table),
    FIELD_STRUCT(struct kvm_sregs, es, &segment_table),
    FIELD_STRUCT(struct kvm_sregs, fs, &segment_table),
    FIELD_STRUCT(struct kvm_sregs, gs, &segment_table),
    FIELD_STRUCT(struct kvm_sregs, ss, &segment_table),
    FIELD_STRUCT(struct kvm_sregs, tr, &segment_table),
    FIELD_STRUCT(struct kvm_sregs, ldt, &segment_table),
    FIELD_STRUCT(struct kvm_sregs, gdt, &dtable_table),
    FIELD_STRUCT(struct kvm_sregs, idt, &dtable_table),
    FIELD(struct kvm_sregs, cr0),
    FIELD(struct kvm_sregs, cr2),
    FIELD(struct kvm_sregs, cr3),
    FIELD(struct kvm_sregs, cr4),
    FIELD(struct kvm_sregs, cr8),
    FIELD(struct kvm_sregs, efer),
    FIELD(struct kvm_sregs, apic_base),
    FIELD_ARRAY(struct kvm_sregs, interrupt_bitmap),
};
TABLE(sregs, sregs_fields);

static const struct field xcr_fields[] = {FIELD(struct kvm_xcr, xcr), FIELD(struct kvm_xcr, value)};
TABLE(xcr, xcr_fields);

static const struct field xcrs_fields[] = {FIELD(struct kvm_xcrs, nr_xcrs),
                                           FIELD(struct kvm_xcrs, flags),
                                           FIELD_STRUCTS(struct kvm_xcrs, xcrs, &xcr_table)};
TABLE(xcrs, xcrs_fields);

static const struct field xsave_fields[] = {FIELD_ARRAY(struct vcpu_xsave, region)};
TABLE(xsave, xsave_fields);

static const struct field regs_fields[] = {
    FIELD(struct kvm_regs, rax), FIELD(struct kvm_regs, rbx), FIELD(struct kvm_regs, rcx),
    FIELD(struct kvm_regs, rdx), FIELD(struct kvm_regs, rsi), FIELD(struct kvm_regs, rdi),
    FIELD(struct kvm_regs, rsp), FIELD(struct kvm_regs, rbp), FIELD(struct kvm_regs, r8),
    FIELD(struct kvm_regs, r9),  FIELD(struct kvm_regs, r10), FIELD(struct kvm_regs, r11),
    FIELD(struct kvm_regs, r12), FIELD(struct kvm_regs, r13), FIELD(struct kvm_regs, r14),
    FIELD(struct kvm_regs, r15), FIELD(struct kvm_regs, rip), FIELD(struct kvm_regs, rflags),
};
TABLE(regs, regs_fields);

static const struct field lapic_fields[] = {FIELD_ARRAY(struct kvm_lapic_state, regs)};
TABLE(lapic, lapic_fields);

static const struct field events_fields[] = {
    FIELD(struct kvm_vcpu_events, exception.injected),
    FIELD(struct kvm_vcpu_events, exception.nr),
    FIELD(struct kvm_vcpu_events, exception.has_error_code),
    FIELD(struct kvm_vcpu_events, exception.pending),
    FIELD(struct kvm_vcpu_events, exception.error_code),
    FIELD(struct kvm_vcpu_events, interrupt.injected),
    FIELD(struct kvm_vcpu_events, interrupt.nr),
    FIELD(struct kvm_vcpu_events, interrupt.soft),
    FIELD(struct kvm_vcpu_events, interrupt.shadow),
    FIELD(struct kvm_vcpu_events, nmi.injected),
    FIELD(struct kvm_vcpu_events, nmi.pending),
    FIELD(struct kvm_vcpu_events, nmi.masked),
    FIELD(struct kvm_vcpu_events, sipi_vector),
    FIELD(struct kvm_vcpu_events, flags),
    FIELD(struct kvm_vcpu_events, smi.smm),
    FIELD(struct kvm_vcpu_events, smi.pending),
    FIELD(struct kvm_vcpu_events, smi.smm_inside_nmi),
    FIELD(struct kvm_vcpu_events, smi.latched_init),
    FIELD(struct kvm_vcpu_events, triple_fault.pending),
    FIELD(struct kvm_vcpu_events, exception_has_payload),
    FIELD(struct kvm_vcpu_events, exception_payload),
};
TABLE(events, events_fields);

static const struct field debugregs_fields[] = {
    FIELD_ARRAY(struct kvm_debugregs, db),
    FIELD(struct kvm_debugregs, dr6),
    FIELD(struct kvm_debugregs, dr7),
    FIELD(struct kvm_debugregs, flags),
};
TABLE(debugregs, debugregs_fields);

/* --- model-specific registers ---------------------------------------------------------------- */

#define MSR_TSC 0x10

/*
 * In the order in which they are written: tsc_deadline needs the TSC and the local APIC, so it
 * comes last. Numbers: Intel SDM, volume 4; AMD APM, volume 2, appendix A; Linux, kvm_para.h.
 */
static const struct {
    uint32_t number;
    const char *name;
} msrs[] = {
    {MSR_TSC, "tsc"},
    {0x3b, "tsc_adjust"},
    {0x48, "spec_ctrl"},
    {0x174, "sysenter_cs"},
    {0x175, "sysenter_esp"},
    {0x176, "sysenter_eip"},
    {0x17a, "mcg_status"},
    {0x1a0, "misc_enable"},
    {0x277, "pat"},
    {0x2ff, "mtrr_def_type"},
    {0xda0, "xss"},
    {0xc0000081, "star"},
    {0xc0000082, "lstar"},
    {0xc0000083, "cstar"},
    {0xc0000084, "syscall_mask"},
    {0xc0000102, "kernel_gs_base"},
    {0xc0000103, "tsc_aux"},
    {0x4b564d00, "kvm_wall_clock"},
    {0x4b564d01, "kvm_system_time"},
    {0x4b564d02, "kvm_async_pf"},
    {0x4b564d03, "kvm_steal_time"},
    {0x4b564d04, "kvm_pv_eoi"},
    {0x4b564d05, "kvm_poll_control"},
    {0x6e0, "tsc_deadline"},
};
_Static_assert(ARRAY_LEN(msrs) <= VCPU_MSRS_MAX, "a place for each");

static const struct field msrs_fields[] = {FIELD(struct vcpu_msrs, known),
                                           FIELD_ARRAY(struct vcpu_msrs, values)};
TABLE(msrs, msrs_fields);

/* A struct kvm_msrs with room for one. */
struct one_msr {
    uint32_t n, pad;
    struct kvm_msr_entry entry;
};

/* One at a time: from a list, KVM stops at the first register that it does not have. */
static bool read_msr(int vcpu, size_t i, uint64_t *ret)
{
    struct one_msr m = {.n = 1, .entry.index = msrs[i].number};

    if (ioctl(vcpu, KVM_GET_MSRS, &m) != 1)
        return false;
    *ret = m.entry.data;
    return true;
}

static bool write_msr(int vcpu, size_t i, uint64_t value)
{
    struct one_msr m = {.n = 1, .entry.index = msrs[i].number, .entry.data = value};
    uint64_t now;

    if (ioctl(vcpu, KVM_SET_MSRS, &m) == 1)
        return true;
    /* No failure where the register has this value already; nor where KVM does not have the
     * register and the value is 0, since then the guest has not used it. */
    return read_msr(vcpu, i, &now) ? now == value : value == 0;
}

static void read_msrs(int vcpu, struct vcpu_msrs *ret)
{
    *ret = (struct vcpu_msrs){0};
    for (size_t i = 0; i < ARRAY_LEN(msrs); i++) {
        if (read_msr(vcpu, i, &ret->values[i]))
            ret->known |= UINT64_C(1) << i;
    }
}

static int write_msrs(int vcpu, const struct vcpu_msrs *m, uint64_t elapsed_ticks,
                      struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(msrs); i++) {
        uint64_t value = m->values[i] + (msrs[i].number == MSR_TSC ? elapsed_ticks : 0);

        if (m->known >> i & 1 && !write_msr(vcpu, i, value))
            return err_set(err, ERR_SYSTEM, "KVM: a vCPU's register %s: does not take 0x%llx",
                           msrs[i].name, (unsigned long long)value);
    }
    return 0;
}

/* --- the parts ------------------------------------------------------------------------------- */

#define PART(member, name, get, set)                                                               \
    {                                                                                              \
        name, offsetof(struct vcpu_state, member), &member##_table, get, set                       \
    }

/*
 * In the order in which they are read and written. The run state is first, because reading it makes
 * KVM take in pending events. System registers come before the parts that depend on their modes.
 */
static const struct {
    const char *name;
    size_t offset;
    const struct field_table *fields;
    unsigned long get, set; /* 0: not one ioctl */
} parts[VCPU_DEVICES] = {
    PART(mp_state, "vcpu-mp-state", KVM_GET_MP_STATE, KVM_SET_MP_STATE),
    PART(sregs, "vcpu-sregs", KVM_GET_SREGS, KVM_SET_SREGS),
    PART(xcrs, "vcpu-xcrs", KVM_GET_XCRS, KVM_SET_XCRS),
    PART(xsave, "vcpu-xsave", KVM_GET_XSAVE, KVM_SET_XSAVE),
    PART(regs, "vcpu-regs", KVM_GET_REGS, KVM_SET_REGS),
    PART(lapic, "vcpu-lapic", KVM_GET_LAPIC, KVM_SET_LAPIC),
    PART(msrs, "vcpu-msrs", 0, 0),
    PART(events, "vcpu-events", KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS),
    PART(debugregs, "vcpu-debugregs", KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS),
};

void vcpu_state_devices(struct vcpu_state *state, unsigned index,
                        struct device ret[static VCPU_DEVICES])
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        ret[i] = (struct device){
            .name = parts[i].name,
            .instance = index,
            .fields = parts[i].fields,
            .state = (uint8_t *)state + parts[i].offset,
        };
}

int vcpu_state_read(int vcpu, struct vcpu_state *ret, struct error *err)
{
    *ret = (struct vcpu_state){0};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        uint8_t *part = (uint8_t *)ret + parts[i].offset;

        if (parts[i].get && kvm_ioctl(vcpu, parts[i].get, part, parts[i].name, err) < 0)
            return err_in(err, "reading");
    }
    read_msrs(vcpu, &ret->msrs);
    return 0;
}

int vcpu_state_write(int vcpu, const struct vcpu_state *state, uint64_t elapsed_ticks,
                     struct error *err)
{
    struct vcpu_state copy = *state; /* KVM takes a pointer that it may write to */

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        uint8_t *part = (uint8_t *)&copy + parts[i].offset;

        if (parts[i].set && kvm_ioctl(vcpu, parts[i].set, part, parts[i].name, err) < 0)
            return err_in(err, "writing");
        if (!parts[i].set && write_msrs(vcpu, &copy.msrs, elapsed_ticks, err) < 0)
            return -1;
    }
    return 0;
}
