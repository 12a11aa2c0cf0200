#include <stdlib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "vmm/guest_memory.h"
#include "vmm/guest_options.h"
#include "vmm/machine_image.h"
#include "vmm/machine_kvm_inside.h"
#include "vmm/payload.h"

#define BLOCK_NAME "pc.ram"

#define HEARTBEAT_MS      1
#define GUEST_WAIT_MAX_MS 1000

/* The brake's reason beside those of enum machine_hold. */
#define HOLD_BRAKE (1U << 8)

/* --- between vCPUs and the report ------------------------------------------------------------ */

/* So long at once: an interrupt that comes meanwhile waits. */
static uint64_t wait_ns(const struct guest_report *r, uint64_t ticks)
{
    return MIN(ticks, r->tsc_khz * GUEST_WAIT_MAX_MS) * NS_PER_MS / r->tsc_khz;
}

static int on_out(void *arg, unsigned vcpu, uint16_t port,
                  const uint64_t words[static GUEST_MESSAGE_WORDS], struct error *err)
{
    struct machine_kvm *m = arg;

    if (port == GUEST_PORT_WAIT) {
        vcpu_sleep(m->vcpus[vcpu], wait_ns(&m->report, words[0]));
        return 0;
    }
    if (guest_report_take(&m->report, vcpu, port, words, err) < 0)
        return -1;
    if (port == GUEST_PORT_EXIT) /* nothing comes behind it */
        vcpu_sleep(m->vcpus[vcpu], DEADLINE_NEVER / 2);
    return 0;
}

static int on_byte(void *arg, uint16_t port, bool is_out, uint8_t *byte, struct error *err)
{
    struct machine_kvm *m = arg;

    if (port < GUEST_PORT_SERIAL || port - GUEST_PORT_SERIAL >= SERIAL_PORTS)
        return err_set(err, ERR_PEER, "%s of a byte at port 0x%x, which is nobody's",
                       is_out ? "OUT" : "IN", port);
    if (is_out)
        serial_write(&m->serial, port - GUEST_PORT_SERIAL, *byte);
    else
        *byte = serial_read(&m->serial, port - GUEST_PORT_SERIAL);
    return 0;
}

static void on_failed(void *arg, unsigned vcpu, const struct error *err)
{
    struct machine_kvm *m = arg;

    (void)vcpu; /* the error names it */
    guest_report_fail(&m->report, err);
}

/* --- making it ------------------------------------------------------------------------------- */

static int add_slot(struct machine_kvm *m, const struct ram_block *b, uint64_t offset, uint64_t end,
                    struct error *err)
{
    struct kvm_slot *slot = &m->slots[m->n_slots];

    *slot = (struct kvm_slot){
        .id = (unsigned)m->n_slots++,
        .guest_address = guest_memory_physical(offset),
        .bytes = end - offset,
        .host = b->host + offset,
        .block_page = offset >> RAM_PAGE_BITS,
    };
    return kvm_set_slot(&m->kvm, slot, 0, err);
}

/* Two slots of one block where it is long: x86's devices are between. */
static int add_memory(struct machine_kvm *m, const struct ram_block *b, struct error *err)
{
    uint64_t low = MIN(b->used_bytes, (uint64_t)GUEST_LOW_MAX);

    if (add_slot(m, b, 0, low, err) < 0)
        return -1;
    return low < b->used_bytes ? add_slot(m, b, low, b->used_bytes, err) : 0;
}

/* One of both: the other is zeroed. */
struct chosen_guest {
    struct guest_options options;
    struct payload payload;
};

static int load_guest(struct ram_block *b, const struct chosen_guest *guest, struct error *err)
{
    if (guest->options.image)
        return guest_memory_load(b, guest->options.image, err);
    guest_memory_lay_out(b);
    payload_load(&guest->payload, b);
    return 0;
}

/* Of a guest that comes in nothing is written: its memory has to be fresh, and what it is comes. */
static int make_memory(struct machine_kvm *m, const struct machine_kvm_config *config,
                       const struct chosen_guest *guest, struct error *err)
{
    if (ram_map_add(&m->base.ram, BLOCK_NAME, config->bytes, err) < 0)
        return -1;
    struct ram_block *b = &m->base.ram.blocks[0];
    if (memory_backing_map(&config->backing, b, &m->memory_fd, err) < 0 ||
        (!config->incoming && load_guest(b, guest, err) < 0))
        return -1;
    return add_memory(m, b, err);
}

static int make_vcpus(struct machine_kvm *m, unsigned n, uint64_t entry, struct error *err)
{
    for (unsigned i = 0; i < n; i++) {
        struct vcpu_start start = {
            .page_tables = GUEST_PAGE_TABLES,
            .entry = entry,
            .stack_top = GUEST_STACKS + (uint64_t)(i + 1) * GUEST_STACK_BYTES,
            .argument = GUEST_PARAMS + (uint64_t)i * RAM_PAGE_SIZE,
            .gdt_base = GUEST_GDT,
            .gdt_limit = GUEST_GDT_BYTES - 1,
            .idt_base = GUEST_IDT,
            .idt_limit = GUEST_IDT_BYTES - 1,
        };

        if (vcpu_new(&m->kvm, i, &start, &m->client, &m->vcpus[i], err) < 0)
            return -1;
        m->n_vcpus++;
    }
    return 0;
}

/* The vCPUs are there, because they know their TSC, and stand still. */
static int brief_guest(struct machine_kvm *m, const struct chosen_guest *guest, bool incoming,
                       struct error *err)
{
    struct ram_block *b = &m->base.ram.blocks[0];
    uint64_t first = GUEST_WORK / RAM_PAGE_SIZE;

    if (vcpu_tsc_khz(m->vcpus[0], &m->tsc_khz, err) < 0)
        return -1;
    guest_report_set(&m->report, m->n_vcpus, first, ram_block_pages(b) - first, m->tsc_khz);
    const struct guest_machine machine = {m->n_vcpus, m->tsc_khz, HEARTBEAT_MS};
    for (unsigned i = 0; !incoming && i < m->n_vcpus; i++) {
        const struct guest_voice *voice = &m->report.voices[i];
        struct guest_params params;

        guest_options_params(&guest->options, &machine, i, voice->first_page, voice->n_pages,
                             &params);
        guest_memory_params(b, i, &params);
    }
    if (guest->payload.n_segments)
        guest_report_share(&m->report);
    return 0;
}

static int choose(const struct machine_kvm_config *config, struct chosen_guest *ret,
                  struct error *err)
{
    *ret = (struct chosen_guest){0};
    if (config->incoming)
        return 0;
    if (!config->guest == !config->payload)
        return err_set(err, ERR_USAGE, "expected a guest or a payload, one of both");
    if (config->guest)
        return guest_options_parse(config->guest, &ret->options, err);
    return payload_open(config->payload, config->bytes, &ret->payload, err);
}

static int check(const struct machine_kvm_config *config, struct error *err)
{
    if (config->cpus < 1 || config->cpus > GUEST_CPUS_MAX)
        return err_set(err, ERR_USAGE, "%u vCPUs, expected 1 to %d", config->cpus, GUEST_CPUS_MAX);
    return guest_memory_check(config->bytes, err);
}

/* --- all of it ------------------------------------------------------------------------------- */

static const struct machine_ops kvm_ops;
static void hold_brake(void *arg, bool on);

static int make(struct machine_kvm *m, const struct machine_kvm_config *config,
                const struct chosen_guest *guest, struct error *err)
{
    uint64_t entry = guest->options.image ? GUEST_IMAGE : guest->payload.entry;

    if (kvm_init(&m->kvm, err) < 0 || machine_kvm_prepare_source(m, config, err) < 0 ||
        make_memory(m, config, guest, err) < 0 || make_vcpus(m, config->cpus, entry, err) < 0 ||
        brief_guest(m, guest, config->incoming, err) < 0)
        return -1;
    return machine_kvm_make_source(m, config, err);
}

static int new_machine(const struct machine_kvm_config *config, const struct chosen_guest *guest,
                       struct machine **ret, struct error *err)
{
    struct machine_kvm *m = calloc(1, sizeof(*m));

    if (!m)
        return err_sys(err, "memory for a machine");
    m->ops = kvm_ops;
    m->base.ops = &m->ops;
    m->dirty = config->dirty;
    m->memory_fd = -1;
    strcpy(m->base.config.machine, RAMJET_MACHINE);
    m->client = (struct vcpu_client){.out = on_out, .byte = on_byte, .failed = on_failed, .arg = m};
    m->holds = MACHINE_PAUSED | (config->incoming ? MACHINE_MOVING : 0U);
    pthread_mutex_init(&m->control, NULL);
    vcpu_brake_init(&m->brake, hold_brake, m);
    guest_report_init(&m->report);
    serial_init(&m->serial, config->serial_sink, config->serial_arg);
    if (make(m, config, guest, err) < 0) {
        machine_free(&m->base);
        return -1;
    }
    *ret = &m->base;
    return 0;
}

int machine_kvm_new(const struct machine_kvm_config *config, struct machine **ret,
                    struct error *err)
{
    struct chosen_guest guest;

    if (check(config, err) < 0 || choose(config, &guest, err) < 0)
        return -1;
    int rc = new_machine(config, &guest, ret, err);
    payload_done(&guest.payload);
    return rc;
}

int machine_kvm_usable(struct error *err)
{
    struct kvm kvm;

    if (kvm_init(&kvm, err) < 0)
        return -1;
    kvm_done(&kvm);
    return 0;
}

struct guest_report *machine_kvm_report(struct machine *m)
{
    return &kvm_of(m)->report;
}

/* --- running and standing still -------------------------------------------------------------- */

static void run_all(struct machine_kvm *m)
{
    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_resume(m->vcpus[i]);
}

/* All are asked before the first is waited for: they stop together. */
static void hold_all(struct machine_kvm *m)
{
    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_kick(m->vcpus[i]);
    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_wait(m->vcpus[i]);
}

static void change_holds(struct machine_kvm *m, unsigned add, unsigned remove)
{
    pthread_mutex_lock(&m->control);
    unsigned before = m->holds;
    m->holds = (before | add) & ~remove;
    if (!before && m->holds)
        hold_all(m);
    else if (before && !m->holds)
        run_all(m);
    pthread_mutex_unlock(&m->control);
}

static void hold_brake(void *arg, bool on)
{
    change_holds(arg, on ? HOLD_BRAKE : 0, on ? 0 : HOLD_BRAKE);
}

static int kvm_stop(struct machine *base, enum machine_hold why, struct error *err)
{
    (void)err;
    change_holds(kvm_of(base), why, 0);
    return 0;
}

static void kvm_resume(struct machine *base, enum machine_hold why)
{
    change_holds(kvm_of(base), 0, why);
}

static bool kvm_is_held(struct machine *base, enum machine_hold why)
{
    struct machine_kvm *m = kvm_of(base);

    pthread_mutex_lock(&m->control);
    bool held = (m->holds & why) != 0;
    pthread_mutex_unlock(&m->control);
    return held;
}

static void kvm_throttle(struct machine *base, unsigned percent)
{
    vcpu_brake_set(&kvm_of(base)->brake, percent);
}

/* --- the end --------------------------------------------------------------------------------- */

static void kvm_free(struct machine *base)
{
    struct machine_kvm *m = kvm_of(base);

    vcpu_brake_done(&m->brake);
    if (base->dirty) /* its vCPUs call in, until they end */
        base->dirty->ops->stop(base->dirty);
    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_free(m->vcpus[i]);
    machine_kvm_free_source(m);
    kvm_done(&m->kvm);
    ram_map_done(&base->ram);
    fd_close(&m->memory_fd);
    device_state_done(&base->devices);
    guest_report_done(&m->report);
    serial_done(&m->serial);
    pthread_mutex_destroy(&m->control);
    free(m);
}

static const struct machine_ops kvm_ops = {
    .stop = kvm_stop,
    .resume = kvm_resume,
    .is_held = kvm_is_held,
    .save = machine_kvm_save,
    .load = machine_kvm_load,
    .throttle = kvm_throttle,
    .free = kvm_free,
};
