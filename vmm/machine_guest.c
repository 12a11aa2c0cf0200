#include "vmm/machine_guest.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "stream/description.h"
#include "vmm/guest_memory.h"

#define GUEST_WAIT_MAX_MS 1000

/* The vCPU throttle's reason for a pause, beside those of enum pause_reason. */
#define PAUSE_THROTTLE (1U << 8)

struct guest_report *machine_guest_report(struct machine *m)
{
    return &machine_guest_of(m)->report;
}

uint64_t machine_guest_wait_ns(const struct machine_guest *g, uint64_t ticks)
{
    uint64_t khz = g->report.tsc_khz;

    return MIN(ticks, khz * GUEST_WAIT_MAX_MS) * NS_PER_MS / khz;
}

/* --- running and standing still -------------------------------------------------------------- */

static void change_pause(struct machine_guest *g, unsigned add, unsigned remove)
{
    pthread_mutex_lock(&g->control);
    unsigned before = g->paused_for;
    g->paused_for = (before | add) & ~remove;
    if (!before && g->paused_for)
        g->pause(g);
    else if (before && !g->paused_for)
        g->run(g);
    pthread_mutex_unlock(&g->control);
}

static void pause_for_throttle(void *arg, bool on)
{
    change_pause(arg, on ? PAUSE_THROTTLE : 0, on ? 0 : PAUSE_THROTTLE);
}

static int guest_stop(struct machine *m, enum pause_reason why, struct error *err)
{
    (void)err;
    change_pause(machine_guest_of(m), why, 0);
    return 0;
}

static void guest_resume(struct machine *m, enum pause_reason why)
{
    change_pause(machine_guest_of(m), 0, why);
}

static bool guest_is_held(struct machine *m, enum pause_reason why)
{
    struct machine_guest *g = machine_guest_of(m);

    pthread_mutex_lock(&g->control);
    bool held = (g->paused_for & why) != 0;
    pthread_mutex_unlock(&g->control);
    return held;
}

/* --- memory that others can open ------------------------------------------------------------- */

/* Of the first n blocks, those that another process can have. */
static void deactivate_first(const struct machine_guest *g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (g->base.ram.blocks[i].shared)
            memory_backing_deactivate(g->memory_fds[i]);
    }
}

static void guest_deactivate(struct machine *m)
{
    deactivate_first(machine_guest_of(m), m->ram.n);
}

static int guest_activate(struct machine *m, struct error *err)
{
    const struct machine_guest *g = machine_guest_of(m);

    for (size_t i = 0; i < m->ram.n; i++) {
        const struct ram_block *b = &m->ram.blocks[i];

        if (!b->shared || memory_backing_activate(g->memory_fds[i], err) == 0)
            continue;
        deactivate_first(g, i);
        return err_in(err, "RAM block '%s': its memory", b->name);
    }
    return 0;
}

static void guest_throttle(struct machine *m, unsigned percent)
{
    vcpu_throttle_set(&machine_guest_of(m)->vcpu_throttle, percent);
}

/* --- life ------------------------------------------------------------------------------------ */

static bool overlap(const struct memory_backend_config *a, const struct memory_backend_config *b)
{
    return a->address < b->address + b->bytes && b->address < a->address + a->bytes;
}

/* Both places have been checked, so no sum overflows. */
static int check_pair(const struct memory_backend_config *a, const struct memory_backend_config *b,
                      struct error *err)
{
    if (strcmp(a->id, b->id) == 0)
        return err_set(err, ERR_USAGE, "memory backend '%s': there are two of this id", a->id);
    if (overlap(a, b))
        return err_set(err, ERR_USAGE,
                       "memory backends '%s' and '%s': at overlapping addresses, from 0x%" PRIx64
                       " and 0x%" PRIx64,
                       a->id, b->id, a->address, b->address);
    return 0;
}

static int check_more(const struct machine_guest_config *config, struct error *err)
{
    uint64_t directories = 0;

    if (config->n_more > MEMORY_MAPPED_MAX)
        return err_set(err, ERR_USAGE, "%zu memory backends at addresses, expected at most %d",
                       config->n_more, MEMORY_MAPPED_MAX);
    for (size_t i = 0; i < config->n_more; i++) {
        const struct memory_backend_config *c = &config->more[i];

        if (strcmp(c->id, MEMORY_MAIN) == 0)
            return err_set(err, ERR_USAGE, "memory backend '%s': there are two of this id", c->id);
        if (guest_memory_check_place(config->bytes, c->address, c->bytes, &directories, err) < 0)
            return err_in(err, "memory backend '%s'", c->id);
        for (size_t k = 0; k < i; k++) {
            if (check_pair(c, &config->more[k], err) < 0)
                return -1;
        }
    }
    return 0;
}

int machine_guest_check(const struct machine_guest_config *config, struct error *err)
{
    if (config->cpus < 1 || config->cpus > GUEST_CPUS_MAX)
        return err_set(err, ERR_USAGE, "%u vCPUs, expected 1 to %d", config->cpus, GUEST_CPUS_MAX);
    if (!config->incoming && !config->guest == !config->payload)
        return err_set(err, ERR_USAGE, "expected a guest or a payload, one of both");
    if (guest_memory_check(config->bytes, err) < 0)
        return -1;
    return check_more(config, err);
}

void machine_guest_init(struct machine_guest *g, const struct machine_guest_config *config,
                        const struct machine_ops *ops)
{
    g->ops = *ops;
    g->ops.stop = guest_stop;
    g->ops.resume = guest_resume;
    g->ops.is_paused_for = guest_is_held;
    g->ops.throttle = guest_throttle;
    g->ops.deactivate = guest_deactivate;
    g->ops.activate = guest_activate;
    g->base.ops = &g->ops;
    strcpy(g->base.config.machine, RAMJET_MACHINE);
    for (size_t i = 0; i < ARRAY_LEN(g->memory_fds); i++)
        g->memory_fds[i] = -1;
    g->paused_for = MACHINE_PAUSED | (config->incoming ? MACHINE_MOVING : 0U);
    pthread_mutex_init(&g->control, NULL);
    vcpu_throttle_init(&g->vcpu_throttle, pause_for_throttle, g);
    guest_report_init(&g->report);
    serial_init(&g->serial, config->serial_sink, config->serial_arg);
}

/*
 * Whether a file's pages may take the place of this memory. Memory bound to NUMA nodes would lose
 * its binding, and memory that userfaultfd watches would no longer be watched.
 */
static bool is_replaceable(const struct machine_guest_config *config,
                           const struct memory_backing_config *backing)
{
    return backing->kind == MEMORY_ANON && !memory_backing_is_shared(backing) && !backing->numa &&
           config->dirty != DIRTY_UFFD && !config->eager;
}

static int add_block(struct machine_guest *g, const struct machine_guest_config *config,
                     const char *name, uint64_t bytes, const struct memory_backing_config *backing,
                     bool migratable, struct error *err)
{
    struct memory_backing_config own = *backing;
    struct ram_map *ram = &g->base.ram;
    size_t i = ram->n;

    own.keep |= migratable && config->keep_files && own.kind == MEMORY_FILE &&
                memory_backing_is_shared(&own);
    own.handed = migratable ? config->handed : NULL;
    if (ram_map_add(ram, name, bytes, err) < 0)
        return -1;
    ram->blocks[i].replaceable = is_replaceable(config, &own);
    ram->blocks[i].migratable = migratable;
    return memory_backing_map(&own, &ram->blocks[i], &g->memory_fds[i], err);
}

static int add_more(struct machine_guest *g, const struct machine_guest_config *config,
                    const struct memory_backend_config *c, struct error *err)
{
    const struct memory_backing_config backing = memory_backend_backing(c);

    if (add_block(g, config, c->id, c->bytes, &backing, c->migratable, err) < 0)
        return err_in(err, "memory backend '%s'", c->id);
    struct ram_block *b = &g->base.ram.blocks[g->base.ram.n - 1];
    b->address = c->address;
    return 0;
}

int machine_guest_map(struct machine_guest *g, const struct machine_guest_config *config,
                      struct error *err)
{
    if (add_block(g, config, MEMORY_MAIN, config->bytes, &config->backing, true, err) < 0)
        return -1;
    for (size_t i = 0; i < config->n_more; i++) {
        if (add_more(g, config, &config->more[i], err) < 0)
            return -1;
    }
    return 0;
}

void machine_guest_let_go(struct machine_guest *g)
{
    vcpu_throttle_done(&g->vcpu_throttle);
}

void machine_guest_done(struct machine_guest *g)
{
    ram_map_done(&g->base.ram);
    for (size_t i = 0; i < ARRAY_LEN(g->memory_fds); i++)
        fd_close(&g->memory_fds[i]);
    device_state_done(&g->base.devices);
    guest_report_done(&g->report);
    serial_done(&g->serial);
    pthread_mutex_destroy(&g->control);
}

/* --- what it is ------------------------------------------------------------------------------ */

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

void machine_guest_devices(struct machine_guest_state *s,
                           struct device ret[static MACHINE_GUEST_DEVICES])
{
    ret[0] = (struct device){"run-state", 0, &run_table, &s->run};
    ret[1] = (struct device){"serial", 0, &serial_table, &s->serial};
    ret[2] = (struct device){"guest", 0, &guest_table, &s->guest};
}

void machine_guest_read(struct machine_guest *g, struct machine_guest_state *ret)
{
    ret->run.paused = machine_is_paused_for(&g->base, MACHINE_PAUSED);
    ret->serial = g->serial.state;
    guest_report_get_state(&g->report, &ret->guest);
}

int machine_guest_write(struct machine_guest *g, const struct machine_guest_state *s,
                        struct error *err)
{
    if (guest_report_set_state(&g->report, &s->guest, err) < 0)
        return err_in(err, "device 'guest' 0");
    g->serial.state = s->serial;
    return s->run.paused ? machine_stop(&g->base, MACHINE_PAUSED, err) : 0;
}

static void note_synth(void *arg, const struct section *s, const uint8_t *body, uint64_t len)
{
    bool *found = arg;

    (void)body;
    (void)len;
    *found |= strcmp(s->name, DEVICE_SYNTH) == 0;
}

int machine_guest_expect(const struct device_state *from, bool synth, struct error *err)
{
    bool found = false;

    if (description_check(&from->early, &from->tail, note_synth, &found, err) < 0)
        return -1;
    if (found == synth)
        return 0;
    return err_set_with(err, ERR_PEER, REMEDY_SAME_ACCELERATOR,
                        "the guest that has arrived ran %s, and cannot run %s",
                        found ? "as threads" : "under KVM", synth ? "as threads" : "under KVM");
}
