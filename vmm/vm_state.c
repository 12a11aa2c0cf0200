#include "vmm/vm_state.h"

#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/macros.h"
#include "vmm/kvm.h"

#define TABLE(name, fields)                                                                        \
    static const struct field_table name##_table = {#name, fields, ARRAY_LEN(fields)}

static const struct field pic_fields[] = {
    FIELD(struct kvm_pic_state, last_irr),
    FIELD(struct kvm_pic_state, irr),
    FIELD(struct kvm_pic_state, imr),
    FIELD(struct kvm_pic_state, isr),
    FIELD(struct kvm_pic_state, priority_add),
    FIELD(struct kvm_pic_state, irq_base),
    FIELD(struct kvm_pic_state, read_reg_select),
    FIELD(struct kvm_pic_state, poll),
    FIELD(struct kvm_pic_state, special_mask),
    FIELD(struct kvm_pic_state, init_state),
    FIELD(struct kvm_pic_state, auto_eoi),
    FIELD(struct kvm_pic_state, rotate_on_auto_eoi),
    FIELD(struct kvm_pic_state, special_fully_nested_mode),
    FIELD(struct kvm_pic_state, init4),
    FIELD(struct kvm_pic_state, elcr),
    FIELD(struct kvm_pic_state, elcr_mask),
};
TABLE(pic, pic_fields);

static const struct field ioapic_fields[] = {
    FIELD(struct kvm_ioapic_state, base_address), FIELD(struct kvm_ioapic_state, ioregsel),
    FIELD(struct kvm_ioapic_state, id), FIELD(struct kvm_ioapic_state, irr),
    FIELD_ARRAY(struct kvm_ioapic_state, redirtbl)};
TABLE(ioapic, ioapic_fields);

static const struct field clock_fields[] = {FIELD(struct vm_clock, clock_ns),
                                            FIELD(struct vm_clock, realtime_ns),
                                            FIELD(struct vm_clock, tsc_khz)};
TABLE(clock, clock_fields);

void vm_state_devices(struct vm_state *state, struct device ret[static VM_DEVICES])
{
    ret[0] = (struct device){"pic", 0, &pic_table, &state->pics[0].chip.pic};
    ret[1] = (struct device){"pic", 1, &pic_table, &state->pics[1].chip.pic};
    ret[2] = (struct device){"ioapic", 0, &ioapic_table, &state->ioapic.chip.ioapic};
    ret[3] = (struct device){"clock", 0, &clock_table, &state->clock};
}

/* --- chips ----------------------------------------------------------------------------------- */

static int chips(int vm, struct vm_state *state, unsigned long request, struct error *err)
{
    struct kvm_irqchip *const all[] = {&state->pics[0], &state->pics[1], &state->ioapic};
    static const uint32_t ids[] = {KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE,
                                   KVM_IRQCHIP_IOAPIC};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        all[i]->chip_id = ids[i];
        if (kvm_ioctl(vm, request, all[i], "an interrupt controller", err) < 0)
            return -1;
    }
    return 0;
}

/* --- time ------------------------------------------------------------------------------------ */

static uint64_t realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Two clock crystals of the same nominal rate may differ by 250 parts in a million. */
static bool same_rate(uint64_t a, uint64_t b)
{
    return (a > b ? a - b : b - a) <= b / 4000;
}

static int read_clock(int vm, uint64_t tsc_khz, struct vm_clock *ret, struct error *err)
{
    struct kvm_clock_data data = {0};

    if (kvm_ioctl(vm, KVM_GET_CLOCK, &data, "reading the clock", err) < 0)
        return -1;
    *ret =
        (struct vm_clock){.clock_ns = data.clock, .realtime_ns = realtime_ns(), .tsc_khz = tsc_khz};
    return 0;
}

static int write_clock(int vm, const struct vm_clock *clock, uint64_t tsc_khz,
                       uint64_t *ret_elapsed_ticks, struct error *err)
{
    uint64_t now = realtime_ns();
    /* 0 where the hosts' clocks differ so much that the pause would be negative. */
    uint64_t elapsed_ns = now > clock->realtime_ns ? now - clock->realtime_ns : 0;
    struct kvm_clock_data data = {.clock = clock->clock_ns + elapsed_ns};

    if (!same_rate(clock->tsc_khz, tsc_khz))
        return err_set(err, ERR_PEER,
                       "clock: the source's TSC runs at %" PRIu64 " kHz, this host's at %" PRIu64
                       ": expected the same",
                       clock->tsc_khz, tsc_khz);
    *ret_elapsed_ticks = (uint64_t)((double)elapsed_ns * (double)tsc_khz / 1e6);
    return kvm_ioctl(vm, KVM_SET_CLOCK, &data, "writing the clock", err);
}

/* --- the whole ------------------------------------------------------------------------------- */

int vm_state_read(int vm, uint64_t tsc_khz, struct vm_state *ret, struct error *err)
{
    *ret = (struct vm_state){0};
    if (chips(vm, ret, KVM_GET_IRQCHIP, err) < 0)
        return -1;
    return read_clock(vm, tsc_khz, &ret->clock, err);
}

int vm_state_write(int vm, const struct vm_state *state, uint64_t tsc_khz,
                   uint64_t *ret_elapsed_ticks, struct error *err)
{
    struct vm_state copy = *state; /* KVM takes a pointer that it may write to */

    if (chips(vm, &copy, KVM_SET_IRQCHIP, err) < 0)
        return -1;
    return write_clock(vm, &copy.clock, tsc_khz, ret_elapsed_ticks, err);
}
