#include "vmm/machine_kvm.h"

#include <stdlib.h>

#include "vmm/guest_memory.h"
#include "vmm/vcpu.h"

#define BLOCK_NAME "pc.ram"

#define HEARTBEAT_MS 1

struct machine_kvm {
    /* Set before the guest runs, read-only after. */
    struct ram_map ram;
    struct kvm kvm;
    struct vcpu_client client;
    struct vcpu *vcpus[GUEST_CPUS_MAX];
    unsigned n_vcpus;

    struct guest_report report; /* any thread, under its own lock */
};

/* --- between vCPUs and the report ------------------------------------------------------------ */

static int on_out(void *arg, unsigned vcpu, uint16_t port,
                  const uint64_t words[static GUEST_MESSAGE_WORDS], struct error *err)
{
    struct machine_kvm *m = arg;

    return guest_report_take(&m->report, vcpu, port, words, err);
}

static void on_failed(void *arg, unsigned vcpu, const struct error *err)
{
    struct machine_kvm *m = arg;

    (void)vcpu; /* the error names it */
    guest_report_fail(&m->report, err);
}

/* --- making it ------------------------------------------------------------------------------- */

/* Two slots of one block where it is long: x86's devices are between. */
static int add_memory(struct machine_kvm *m, const struct ram_block *b, struct error *err)
{
    uint64_t low = MIN(b->used_bytes, (uint64_t)GUEST_LOW_MAX);

    if (kvm_add_memory(&m->kvm, 0, 0, b->host, low, err) < 0)
        return -1;
    if (low == b->used_bytes)
        return 0;
    return kvm_add_memory(&m->kvm, 1, GUEST_HIGH_START, b->host + low, b->used_bytes - low, err);
}

static int make_memory(struct machine_kvm *m, uint64_t bytes, const struct guest_image *image,
                       struct error *err)
{
    if (ram_map_add(&m->ram, BLOCK_NAME, bytes, err) < 0)
        return -1;
    struct ram_block *b = &m->ram.blocks[0];
    if (ram_block_map_anonymous(b, err) < 0 || guest_memory_load(b, image, err) < 0)
        return -1;
    return add_memory(m, b, err);
}

static int make_vcpus(struct machine_kvm *m, unsigned n, struct error *err)
{
    for (unsigned i = 0; i < n; i++) {
        struct vcpu_start start = {
            .page_tables = GUEST_PAGE_TABLES,
            .entry = GUEST_IMAGE,
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
static int brief_guest(struct machine_kvm *m, struct error *err)
{
    struct ram_block *b = &m->ram.blocks[0];
    uint64_t first = GUEST_WORK / RAM_PAGE_SIZE, tsc_khz;

    if (vcpu_tsc_khz(m->vcpus[0], &tsc_khz, err) < 0)
        return -1;
    guest_report_set(&m->report, m->n_vcpus, first, ram_block_pages(b) - first, tsc_khz);
    for (unsigned i = 0; i < m->n_vcpus; i++) {
        const struct guest_params params = {
            .magic = GUEST_PARAMS_MAGIC,
            .first_page = m->report.voices[i].first_page,
            .n_pages = m->report.voices[i].n_pages,
            .heartbeat_ticks = tsc_khz * HEARTBEAT_MS,
        };

        guest_memory_params(b, i, &params);
    }
    return 0;
}

static int check(const struct machine_kvm_config *config, const struct guest_image **ret,
                 struct error *err)
{
    if (config->cpus < 1 || config->cpus > GUEST_CPUS_MAX)
        return err_set(err, ERR_USAGE, "%u vCPUs, expected 1 to %d", config->cpus, GUEST_CPUS_MAX);
    if (guest_memory_check(config->bytes, err) < 0)
        return -1;
    return guest_image_find(config->guest, ret, err);
}

int machine_kvm_new(const struct machine_kvm_config *config, struct machine_kvm **ret,
                    struct error *err)
{
    const struct guest_image *image;

    if (check(config, &image, err) < 0)
        return -1;
    struct machine_kvm *m = calloc(1, sizeof(*m));
    if (!m)
        return err_sys(err, "memory for a machine");
    m->client = (struct vcpu_client){.out = on_out, .failed = on_failed, .arg = m};
    guest_report_init(&m->report);
    if (kvm_init(&m->kvm, err) < 0 || make_memory(m, config->bytes, image, err) < 0 ||
        make_vcpus(m, config->cpus, err) < 0 || brief_guest(m, err) < 0) {
        machine_kvm_free(m);
        return -1;
    }
    *ret = m;
    return 0;
}

/* --- life ------------------------------------------------------------------------------------ */

int machine_kvm_usable(struct error *err)
{
    struct kvm kvm;

    if (kvm_init(&kvm, err) < 0)
        return -1;
    kvm_done(&kvm);
    return 0;
}

void machine_kvm_free(struct machine_kvm *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_free(m->vcpus[i]);
    kvm_done(&m->kvm);
    ram_map_done(&m->ram);
    guest_report_done(&m->report);
    free(m);
}

void machine_kvm_resume(struct machine_kvm *m)
{
    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_resume(m->vcpus[i]);
}

/* All are asked before the first is waited for: they stop together. */
void machine_kvm_pause(struct machine_kvm *m)
{
    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_kick(m->vcpus[i]);
    for (unsigned i = 0; i < m->n_vcpus; i++)
        vcpu_wait(m->vcpus[i]);
}

struct ram_block *machine_kvm_memory(struct machine_kvm *m)
{
    return &m->ram.blocks[0];
}

struct guest_report *machine_kvm_report(struct machine_kvm *m)
{
    return &m->report;
}
