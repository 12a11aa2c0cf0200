#include "vmm/machine_kvm.h"

#include <stdlib.h>

#include "base/clock.h"
#include "vmm/guest_memory.h"
#include "vmm/guest_options.h"
#include "vmm/machine_kvm_inside.h"
#include "vmm/payload.h"

/* --- between vCPUs and the report ------------------------------------------------------------ */

static int on_out(void *arg, unsigned vcpu, uint16_t port,
                  const uint64_t words[static GUEST_MESSAGE_WORDS], struct error *err)
{
    struct machine_kvm *m = arg;

    if (port == GUEST_PORT_WAIT) {
        vcpu_sleep(m->vcpus[vcpu], machine_guest_wait_ns(&m->guest, words[0]));
        return 0;
    }
    if (guest_report_take(&m->guest.report, vcpu, port, words, err) < 0)
        return -1;
    if (port == GUEST_PORT_EXIT) /* the vCPU has nothing more to do */
        vcpu_sleep(m->vcpus[vcpu], DEADLINE_NEVER / 2);
    return 0;
}

static int on_byte(void *arg, uint16_t port, bool is_out, uint8_t *byte, struct error *err)
{
    struct machine_kvm *m = arg;

    if (port < GUEST_PORT_SERIAL || port - GUEST_PORT_SERIAL >= SERIAL_PORTS)
        return err_set(err, ERR_PEER, "%s of a byte at port 0x%x, which has no device",
                       is_out ? "OUT" : "IN", port);
    if (is_out)
        serial_write(&m->guest.serial, port - GUEST_PORT_SERIAL, *byte);
    else
        *byte = serial_read(&m->guest.serial, port - GUEST_PORT_SERIAL);
    return 0;
}

static void on_failed(void *arg, unsigned vcpu, const struct error *err)
{
    struct machine_kvm *m = arg;

    (void)vcpu; /* the error names it */
    guest_report_fail(&m->guest.report, err);
}

/* --- making it ------------------------------------------------------------------------------- */

static int add_slot(struct machine_kvm *m, size_t block, uint64_t offset, uint64_t end,
                    struct error *err)
{
    struct kvm_slot *slot = &m->slots[m->n_slots];
    const struct ram_block *b = &m->guest.base.ram.blocks[block];

    *slot = (struct kvm_slot){
        .id = (unsigned)m->n_slots++,
        .guest_address = block ? b->address + offset : guest_memory_physical(offset),
        .bytes = end - offset,
        .host = b->host + offset,
        .block = block,
        .block_page = offset >> RAM_PAGE_BITS,
    };
    return kvm_set_slot(&m->kvm, slot, 0, err);
}

/* Main memory beyond GUEST_LOW_MAX has a second slot, since x86's devices are in between. Each
 * other block has one slot. */
static int add_memory(struct machine_kvm *m, struct error *err)
{
    const struct ram_map *ram = &m->guest.base.ram;
    uint64_t bytes = ram->blocks[0].used_bytes, low = MIN(bytes, (uint64_t)GUEST_LOW_MAX);

    if (add_slot(m, 0, 0, low, err) < 0 || (low < bytes && add_slot(m, 0, low, bytes, err) < 0))
        return -1;
    for (size_t i = 1; i < ram->n; i++) {
        if (add_slot(m, i, 0, ram->blocks[i].used_bytes, err) < 0)
            return err_in(err, "RAM block '%s'", ram->blocks[i].name);
    }
    return 0;
}

/* One of the two; the other is zeroed. */
struct chosen_guest {
    struct guest_options options;
    struct payload payload;
};

static int load_main(struct ram_block *b, const struct chosen_guest *guest, struct error *err)
{
    if (guest->options.image)
        return guest_memory_load(b, guest->options.image, err);
    guest_memory_lay_out(b);
    payload_load(&guest->payload, b);
    return 0;
}

static int load_guest(const struct ram_map *ram, const struct chosen_guest *guest,
                      struct error *err)
{
    if (load_main(&ram->blocks[0], guest, err) < 0)
        return -1;
    for (size_t i = 1; i < ram->n; i++)
        guest_memory_map_more(&ram->blocks[0], ram->blocks[i].address, ram->blocks[i].used_bytes);
    return 0;
}

/* Writes nothing for an incoming guest: its memory must be fresh, and the migration fills it. */
static int make_memory(struct machine_kvm *m, const struct machine_guest_config *config,
                       const struct chosen_guest *guest, struct error *err)
{
    if (machine_guest_map(&m->guest, config, err) < 0)
        return -1;
    if (!config->incoming && load_guest(&m->guest.base.ram, guest, err) < 0)
        return -1;
    return add_memory(m, err);
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

/* After the vCPUs are made, because they know the TSC's rate, and before they run. */
static int brief_guest(struct machine_kvm *m, const struct chosen_guest *guest, bool incoming,
                       struct error *err)
{
    struct ram_block *b = &m->guest.base.ram.blocks[0];
    uint64_t first = GUEST_WORK / RAM_PAGE_SIZE;

    if (vcpu_tsc_khz(m->vcpus[0], &m->tsc_khz, err) < 0)
        return -1;
    guest_report_set(&m->guest.report, m->n_vcpus, first, ram_block_pages(b) - first, m->tsc_khz);
    const struct guest_machine machine = {m->n_vcpus, m->tsc_khz, GUEST_HEARTBEAT_MS};
    for (unsigned i = 0; !incoming && i < m->n_vcpus; i++) {
        const struct guest_voice *voice = &m->guest.report.voices[i];
        struct guest_params params;

        guest_options_params(&guest->options, &machine, i, voice->first_page, voice->n_pages,
                             &params);
        guest_memory_params(b, i, &params);
    }
    if (guest->payload.n_segments)
        guest_report_share(&m->guest.report);
    return 0;
}

static int choose(const struct machine_guest_config *config, struct chosen_guest *ret,
                  struct error *err)
{
    *ret = (struct chosen_guest){0};
    if (config->incoming)
        return 0;
    if (config->guest)
        return guest_options_parse(config->guest, &ret->options, err);
    return payload_open(config->payload, config->bytes, &ret->payload, err);
}

/* --- all of it ------------------------------------------------------------------------------- */

static const struct machine_ops kvm_ops;
static void kvm_run(struct machine_guest *g);
static void kvm_pause(struct machine_guest *g);

static int make(struct machine_kvm *m, const struct machine_guest_config *config,
                const struct chosen_guest *guest, struct error *err)
{
    uint64_t entry = guest->options.image ? GUEST_IMAGE : guest->payload.entry;

    if (kvm_init(&m->kvm, err) < 0 || machine_kvm_prepare_source(m, config, err) < 0 ||
        make_memory(m, config, guest, err) < 0 || make_vcpus(m, config->cpus, entry, err) < 0 ||
        brief_guest(m, guest, config->incoming, err) < 0)
        return -1;
    return machine_kvm_make_source(m, config, err);
}

static int new_machine(const struct machine_guest_config *config, const struct chosen_guest *guest,
                       struct machine **ret, struct error *err)
{
    struct machine_kvm *m = calloc(1, sizeof(*m));

    if (!m)
        return err_sys(err, "memory for a machine");
    machine_guest_init(&m->guest, config, &kvm_ops);
    m->guest.run = kvm_run;
    m->guest.pause = kvm_pause;
    m->dirty = config->dirty;
    m->client = (struct vcpu_client){.out = on_out, .byte = on_byte, .failed = on_failed, .arg = m};
    if (make(m, config, guest, err) < 0) {
        machine_free(&m->guest.base);
        return -1;
    }
    *ret = &m->guest.base;
    return 0;
}

int machine_kvm_new(const struct machine_guest_config *config, struct machine **ret,
                    struct error *err)
{
    struct chosen_guest guest;

    if (machine_guest_check(config, err) < 0 || choose(config, &guest, err) < 0)
        return -1;
    int rc = new_machine(config, &guest, ret, err);
    payload_done(&guest.payload);
    return rc;
}

int machine_kvm_usable(struct error *err)
{
    return kvm_usable(err);
}

bool machine_kvm_present(void)
{
    return kvm_present();
}

/* --- running and standing still -------------------------------------------------------------- */

static void kvm_run(struct machine_guest *g)
{
    struct machine_kvm *m = kvm_of(&g->base);

    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_resume(m->vcpus[i]);
}

/* All are asked to stop before the first wait, so that they stop together. */
static void kvm_pause(struct machine_guest *g)
{
    struct machine_kvm *m = kvm_of(&g->base);

    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_kick(m->vcpus[i]);
    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_wait(m->vcpus[i]);
}

/* --- the end --------------------------------------------------------------------------------- */

static void kvm_free(struct machine *base)
{
    struct machine_kvm *m = kvm_of(base);

    machine_guest_let_go(&m->guest);
    if (base->dirty) /* freed later: vCPUs call the dirty source until they end */
        base->dirty->ops->stop(base->dirty);
    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_free(m->vcpus[i]);
    machine_kvm_free_source(m);
    kvm_done(&m->kvm);
    machine_guest_done(&m->guest);
    free(m);
}

static const struct machine_ops kvm_ops = {
    .save = machine_kvm_save,
    .load = machine_kvm_load,
    .free = kvm_free,
};
