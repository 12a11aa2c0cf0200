#include "vmm/machine_synth_guest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "vmm/dirty_software.h"
#include "vmm/dirty_uffd.h"
#include "vmm/guest/hosted.h"
#include "vmm/guest_options.h"
#include "vmm/synth_vcpu.h"

#define CLOCK_KHZ 1000000 /* the guest's TSC counts nanoseconds */

#define TICKS_MAX (UINT64_C(1) << 62)

/* Longer than any real slice; limited, because a step ends with its slice. */
#define SLICE_TICKS_MAX (UINT64_C(100) * CLOCK_KHZ)

static const struct guest_program *const programs[] = {
    &guest_program_counter,
    &guest_program_dirtier,
    &guest_program_idle,
};

/* A vCPU's whole state, between two steps. */
struct cpu_state {
    uint64_t started;
    struct guest_params params;
    uint64_t words[GUEST_STATE_WORDS]; /* the payload's, in native byte order like its memory */
};

struct cpu {
    struct machine_synth_guest *machine;
    unsigned index;
    struct synth_vcpu *thread;

    /* For the vCPU's thread; for others while it stands still. */
    struct cpu_state state;
    struct guest_host host;
    bool has_failed; /* it has sent a message that cannot be true */
    struct error failure;
};

struct machine_synth_guest {
    struct machine_guest guest;

    /* Set before the guest runs, read-only after. */
    const struct guest_program *program; /* NULL: the guest has not come yet */
    uint64_t clock_offset;               /* the guest's TSC minus clock_ns() */
    struct synth_vcpu_client client;
    struct cpu cpus[GUEST_CPUS_MAX];
    unsigned n_cpus;

    struct dirty_software told; /* any thread */
    struct dirty_source *uffd;  /* used instead of `told`; or NULL */
};

static struct machine_synth_guest *synth_of(struct machine *m)
{
    return CONTAINER_OF(m, struct machine_synth_guest, guest.base);
}

/* --- what a payload asks for, on its vCPU's thread ------------------------------------------- */

static uint64_t ticks_of(const struct machine_synth_guest *m)
{
    return clock_ns() + m->clock_offset;
}

static uint64_t on_ticks(void *arg)
{
    return ticks_of(((struct cpu *)arg)->machine);
}

/* A message that cannot be true ends the vCPU, after its step. */
static void on_say(void *arg, uint16_t port, const uint64_t words[GUEST_MESSAGE_WORDS])
{
    struct cpu *cpu = arg;
    struct error err;

    if (cpu->has_failed ||
        guest_report_take(&cpu->machine->guest.report, cpu->index, port, words, &err) == 0)
        return;
    cpu->failure = err;
    cpu->has_failed = true;
}

static void on_wait(void *arg, uint64_t ticks)
{
    struct cpu *cpu = arg;

    synth_vcpu_sleep(cpu->thread, machine_guest_wait_ns(&cpu->machine->guest, ticks));
}

static void on_wrote(void *arg, uint64_t page)
{
    dirty_software_wrote(&((struct cpu *)arg)->machine->told, page);
}

static int on_step(void *arg, unsigned vcpu, struct error *err)
{
    struct machine_synth_guest *m = arg;
    struct cpu *cpu = &m->cpus[vcpu];
    struct cpu_state *s = &cpu->state;

    if (s->started)
        guest_host_step(&cpu->host, m->program, s->words, &s->params);
    else
        guest_host_start(&cpu->host, m->program, s->words, &s->params);
    s->started = 1;
    if (cpu->host.is_stray)
        return err_set(err, ERR_PEER, "touched an address without memory (0x%" PRIx64 ")",
                       cpu->host.stray_address);
    if (cpu->has_failed)
        *err = cpu->failure;
    return cpu->has_failed ? -1 : 0;
}

static void on_failed(void *arg, unsigned vcpu, const struct error *err)
{
    struct machine_synth_guest *m = arg;

    (void)vcpu; /* the error names it */
    guest_report_fail(&m->guest.report, err);
}

/* --- running and standing still -------------------------------------------------------------- */

static void synth_run(struct machine_guest *g)
{
    struct machine_synth_guest *m = synth_of(&g->base);

    for (unsigned i = 0; i < m->n_cpus; i++)
        synth_vcpu_resume(m->cpus[i].thread);
}

/* All are asked to stop before the first wait, so that they stop together. */
static void synth_pause(struct machine_guest *g)
{
    struct machine_synth_guest *m = synth_of(&g->base);

    for (unsigned i = 0; i < m->n_cpus; i++)
        synth_vcpu_kick(m->cpus[i].thread);
    for (unsigned i = 0; i < m->n_cpus; i++)
        synth_vcpu_wait(m->cpus[i].thread);
}

/* --- what it is ------------------------------------------------------------------------------ */

struct synth_state {
    uint64_t program;     /* its index in programs[] */
    uint64_t ticks;       /* the guest's TSC */
    uint64_t realtime_ns; /* the host's CLOCK_REALTIME at that moment */
};

struct machine_state {
    struct machine_guest_state guest;
    struct synth_state synth;
    struct cpu_state cpus[GUEST_CPUS_MAX];
};

static const struct field synth_fields[] = {FIELD(struct synth_state, program),
                                            FIELD(struct synth_state, ticks),
                                            FIELD(struct synth_state, realtime_ns)};
static const struct field_table synth_table = {DEVICE_SYNTH, synth_fields, ARRAY_LEN(synth_fields)};

static const struct field params_fields[] = {
    FIELD(struct guest_params, magic),
    FIELD(struct guest_params, first_page),
    FIELD(struct guest_params, n_pages),
    FIELD(struct guest_params, heartbeat_ticks),
    FIELD(struct guest_params, vcpu),
    FIELD(struct guest_params, tsc_khz),
    FIELD(struct guest_params, seed),
    FIELD(struct guest_params, pattern),
    FIELD(struct guest_params, write),
    FIELD(struct guest_params, fill),
    FIELD(struct guest_params, working_pages),
    FIELD(struct guest_params, hot_percent),
    FIELD(struct guest_params, hot_write_percent),
    FIELD(struct guest_params, verify_percent),
    FIELD(struct guest_params, ticks_per_page),
    FIELD(struct guest_params, slice_ticks),
};
static const struct field_table params_table = {"guest-params", params_fields,
                                                ARRAY_LEN(params_fields)};

static const struct field cpu_fields[] = {
    FIELD(struct cpu_state, started),
    FIELD_STRUCT(struct cpu_state, params, &params_table),
    FIELD_ARRAY(struct cpu_state, words),
};
static const struct field_table cpu_table = {"synth-vcpu", cpu_fields, ARRAY_LEN(cpu_fields)};

#define DEVICES_MAX (MACHINE_GUEST_DEVICES + 1 + GUEST_CPUS_MAX)

static size_t list_devices(const struct machine_synth_guest *m, struct machine_state *s,
                           struct device ret[static DEVICES_MAX])
{
    size_t n = MACHINE_GUEST_DEVICES;

    machine_guest_devices(&s->guest, ret);
    ret[n++] = (struct device){DEVICE_SYNTH, 0, &synth_table, &s->synth};
    for (unsigned i = 0; i < m->n_cpus; i++)
        ret[n++] = (struct device){"synth-vcpu", i, &cpu_table, &s->cpus[i]};
    return n;
}

static uint64_t realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t number_of(const struct guest_program *program)
{
    uint64_t i = 0;

    while (i < ARRAY_LEN(programs) && programs[i] != program)
        i++;
    return i;
}

static int synth_save(struct machine *base, struct error *err)
{
    struct machine_synth_guest *m = synth_of(base);
    struct machine_state *s = calloc(1, sizeof(*s));
    struct device devices[DEVICES_MAX];

    if (!s)
        return err_sys(err, "memory for the machine's state");
    machine_guest_read(&m->guest, &s->guest);
    s->synth = (struct synth_state){number_of(m->program), ticks_of(m), realtime_ns()};
    for (unsigned i = 0; i < m->n_cpus; i++)
        s->cpus[i] = m->cpus[i].state;
    int rc = devices_save(devices, list_devices(m, s, devices), &base->devices.tail, err);
    free(s);
    return rc;
}

/* --- becoming what has come ------------------------------------------------------------------ */

#define PARAM_MAX(member, max)                                                                     \
    {                                                                                              \
#member, offsetof(struct guest_params, member), max                                        \
    }

/*
 * The parameters that a payload trusts, with their limits. Its state needs no check: it says which
 * pages are touched, and when; guest/hosted.h checks each address.
 */
static const struct {
    const char *name;
    size_t offset;
    uint64_t max;
} limits[] = {
    PARAM_MAX(heartbeat_ticks, SLICE_TICKS_MAX),
    PARAM_MAX(slice_ticks, SLICE_TICKS_MAX),
    PARAM_MAX(pattern, GUEST_PATTERN_HOT),
    PARAM_MAX(write, GUEST_WRITE_AVX),
    PARAM_MAX(fill, GUEST_FILL_PAGE),
    PARAM_MAX(hot_percent, 100),
    PARAM_MAX(hot_write_percent, 100),
    PARAM_MAX(verify_percent, 100),
};

static int check_params(const struct machine_synth_guest *m, unsigned cpu,
                        const struct guest_params *p, struct error *err)
{
    const struct guest_voice *voice = &m->guest.report.voices[cpu];

    if (p->magic != GUEST_PARAMS_MAGIC || p->tsc_khz != CLOCK_KHZ)
        return err_set(err, ERR_PEER, "the guest is of another build");
    if (p->vcpu != cpu || p->first_page != voice->first_page || p->n_pages != voice->n_pages ||
        p->working_pages > p->n_pages)
        return err_set(err, ERR_PEER, "its pages are not those of vCPU %u", cpu);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        uint64_t value = *(const uint64_t *)((const char *)p + limits[i].offset);

        if (value > limits[i].max)
            return err_set(err, ERR_PEER, "%s is %" PRIu64 ", expected at most %" PRIu64,
                           limits[i].name, value, limits[i].max);
    }
    return 0;
}

static int check_state(const struct machine_synth_guest *m, const struct machine_state *s,
                       struct error *err)
{
    if (s->synth.program >= ARRAY_LEN(programs) || s->synth.ticks > TICKS_MAX)
        return err_set(err, ERR_PEER,
                       "device '" DEVICE_SYNTH "' 0: program %" PRIu64 " at %" PRIu64
                       " ticks, which does not exist",
                       s->synth.program, s->synth.ticks);
    for (unsigned i = 0; i < m->n_cpus; i++) {
        if (check_params(m, i, &s->cpus[i].params, err) < 0)
            return err_in(err, "device 'synth-vcpu' %u", i);
    }
    return 0;
}

/* The guest's time goes on as if it had not been paused, by the hosts' clocks. */
static void set_clock(struct machine_synth_guest *m, const struct synth_state *s)
{
    uint64_t now = realtime_ns();
    uint64_t elapsed = now > s->realtime_ns ? now - s->realtime_ns : 0;

    m->clock_offset = s->ticks + elapsed - clock_ns();
}

static int write_state(struct machine_synth_guest *m, const struct machine_state *s,
                       struct error *err)
{
    if (check_state(m, s, err) < 0 || machine_guest_write(&m->guest, &s->guest, err) < 0)
        return -1;
    m->program = programs[s->synth.program];
    set_clock(m, &s->synth);
    for (unsigned i = 0; i < m->n_cpus; i++)
        m->cpus[i].state = s->cpus[i];
    return 0;
}

static int synth_load(struct machine *base, const struct device_state *from, struct error *err)
{
    struct machine_synth_guest *m = synth_of(base);
    struct machine_state *s = calloc(1, sizeof(*s));
    struct device devices[DEVICES_MAX];

    if (!s)
        return err_sys(err, "memory for the machine's state");
    size_t n = list_devices(m, s, devices);
    int rc = machine_guest_expect(from, true, err);
    if (rc == 0)
        rc = devices_load(devices, n, &from->early, &from->tail, err);
    if (rc == 0)
        rc = write_state(m, s, err);
    free(s);
    return rc;
}

/* --- life ------------------------------------------------------------------------------------ */

static void synth_free(struct machine *base)
{
    struct machine_synth_guest *m = synth_of(base);

    machine_guest_let_go(&m->guest);
    for (unsigned i = 0; i < m->n_cpus; i++)
        synth_vcpu_free(m->cpus[i].thread);
    dirty_uffd_free(m->uffd);
    dirty_software_done(&m->told);
    machine_guest_done(&m->guest);
    free(m);
}

static const struct machine_ops synth_ops = {
    .save = synth_save,
    .load = synth_load,
    .free = synth_free,
};

static int make_source(struct machine_synth_guest *m, enum dirty_kind dirty, struct error *err)
{
    if (dirty_software_init(&m->told, ram_block_pages(&m->guest.base.ram.blocks[0]), err) < 0)
        return -1;
    m->guest.base.dirty = &m->told.base;
    if (dirty != DIRTY_UFFD)
        return 0;
    if (dirty_uffd_new(&m->guest.base.ram, &m->uffd, err) < 0)
        return -1;
    m->guest.base.dirty = m->uffd;
    return 0;
}

static int make_cpus(struct machine_synth_guest *m, unsigned n, struct error *err)
{
    const struct ram_block *b = &m->guest.base.ram.blocks[0];

    for (unsigned i = 0; i < n; i++) {
        struct cpu *cpu = &m->cpus[i];

        *cpu = (struct cpu){
            .machine = m,
            .index = i,
            .host = {.memory = b->host,
                     .memory_bytes = b->used_bytes,
                     .ticks = on_ticks,
                     .say = on_say,
                     .wait = on_wait,
                     .wrote = on_wrote,
                     .arg = cpu},
        };
        if (synth_vcpu_new(i, &m->client, &cpu->thread, err) < 0)
            return -1;
        m->n_cpus++;
    }
    return 0;
}

/* A thread has no timer, and all of its registers are the compiler's. */
static void brief_guest(struct machine_synth_guest *m, const struct guest_options *options)
{
    const struct guest_machine machine = {m->n_cpus, CLOCK_KHZ, GUEST_HEARTBEAT_MS};

    for (unsigned i = 0; i < m->n_cpus; i++) {
        const struct guest_voice *voice = &m->guest.report.voices[i];
        struct guest_params *params = &m->cpus[i].state.params;

        guest_options_params(options, &machine, i, voice->first_page, voice->n_pages, params);
        params->timer_count = params->timer_ticks = 0;
        params->write = GUEST_WRITE_WORD;
    }
}

static int make(struct machine_synth_guest *m, const struct machine_guest_config *config,
                const struct guest_options *options, struct error *err)
{
    uint64_t first = GUEST_WORK / RAM_PAGE_SIZE;

    if (machine_guest_map(&m->guest, config, err) < 0 || make_source(m, config->dirty, err) < 0 ||
        make_cpus(m, config->cpus, err) < 0)
        return -1;
    guest_report_set(&m->guest.report, m->n_cpus, first,
                     ram_block_pages(&m->guest.base.ram.blocks[0]) - first, CLOCK_KHZ);
    if (!config->incoming)
        brief_guest(m, options);
    return 0;
}

static int check(const struct machine_guest_config *config, struct error *err)
{
    if (machine_guest_check(config, err) < 0)
        return -1;
    if (config->payload)
        return err_set(err, ERR_USAGE, "a program of your own runs under KVM only");
    if (config->dirty == DIRTY_RING || config->dirty_ring)
        return err_set(err, ERR_USAGE, "only KVM has a dirty ring, expected log or uffd");
    return 0;
}

static const struct guest_program *find_program(const char *name)
{
    size_t i = 0;

    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the options know no other names */
    while (strcmp(programs[i]->name, name) != 0)
        i++;
    return programs[i];
}

int machine_synth_guest_new(const struct machine_guest_config *config, struct machine **ret,
                            struct error *err)
{
    struct guest_options options = {0};

    if (check(config, err) < 0 ||
        (!config->incoming && guest_options_parse(config->guest, &options, err) < 0))
        return -1;
    struct machine_synth_guest *m = calloc(1, sizeof(*m));
    if (!m)
        return err_sys(err, "memory for a machine");
    machine_guest_init(&m->guest, config, &synth_ops);
    m->guest.run = synth_run;
    m->guest.pause = synth_pause;
    m->client = (struct synth_vcpu_client){.step = on_step, .failed = on_failed, .arg = m};
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): only one that arrives has none */
    m->program = config->incoming ? NULL : find_program(options.image->name);
    if (make(m, config, &options, err) < 0) {
        machine_free(&m->guest.base);
        return -1;
    }
    *ret = &m->guest.base;
    return 0;
}
