/* A caller's mistakes are errors, and the defaults are as documented. */
#include <limits.h>

#include "capture/target.h"
#include "migration/destination.h"
#include "migration/source.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "vmm/machine_synth.h"

#define BYTES (1 << 20)

/* --- a source -------------------------------------------------------------------------------- */

struct source {
    struct source_config config;
    struct machine *machine;
};

static void leave_out_engine(struct source *s)
{
    s->config.connect.engine = NULL;
}

static void leave_out_name(struct source *s)
{
    s->machine->config.machine[0] = 0;
}

static void leave_out_description(struct source *s)
{
    s->machine->devices.tail.len = 0;
}

static void cut_description(struct source *s)
{
    s->machine->devices.tail.len--;
}

static void shift_memory(struct source *s)
{
    s->machine->ram.blocks[0].host += 8;
}

static void shift_memory_back(struct source *s)
{
    s->machine->ram.blocks[0].host -= 8;
}

static void ask_for_many_channels(struct source *s)
{
    s->config.n_channels = 256;
}

static const struct source_case {
    const char *label;
    void (*spoil)(struct source *s);
    void (*mend)(struct source *s); /* so that it can be freed */
    const char *refused;
} source_cases[] = {
    {"no engine", leave_out_engine, NULL, "no engine"},
    {"an empty name", leave_out_name, NULL, "the machine's type has no name"},
    {"no device section", leave_out_description, NULL, "end in no description"},
    {"no whole description", cut_description, NULL, "end in no description"},
    {"memory inside a page", shift_memory, shift_memory_back, "expected a multiple of 4096"},
    {"too many channels", ask_for_many_channels, NULL, "expected 0 to 255"},
};

static void make_source(struct source *s, const char *label)
{
    const struct synth_config synth = {.bytes = BYTES};
    char path[PATH_MAX], address[PATH_MAX + 8];
    struct error err;

    source_config_init(&s->config);
    snprintf(address, sizeof(address), "unix:%s", temp_path(path, "source"));
    OK(address_parse(address, &s->config.connect.address, &err), err, label);
    OK(machine_synth(&synth, &s->machine, &err), err, label);
}

static void a_source(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(source_cases); i++) {
        const struct source_case *c = &source_cases[i];
        struct source *m = NULL;
        struct source s;
        struct error err;

        make_source(&s, c->label);
        c->spoil(&s);
        check_refused(c->label, source_new(&s.config, s.machine, &m, &err), &err, ERR_USAGE,
                      c->refused);
        CHECK(!m, "%s: something was made", c->label);
        if (c->mend)
            c->mend(&s);
        machine_free(s.machine);
    }
}

static void a_source_of_nothing(void **state)
{
    static const struct machine no_ops = {.config.machine = "x-1.0"};
    struct machine machine = no_ops;
    struct source *m;
    struct source s;
    struct error err;

    (void)state;
    make_source(&s, "good");
    check_refused("no machine", source_new(&s.config, NULL, &m, &err), &err, ERR_USAGE,
                  "no machine");
    check_refused("no operations", source_new(&s.config, &machine, &m, &err), &err, ERR_USAGE,
                  "no machine");
    check_refused("no configuration", source_new(NULL, s.machine, &m, &err), &err, ERR_USAGE,
                  "no configuration");
    OK(source_new(&s.config, s.machine, &m, &err), err, "good");
    source_free(m);
    machine_free(s.machine);
}

/* --- a save() that leaves out the description ------------------------------------------------ */

static int save_nothing(struct machine *m, struct error *err)
{
    (void)err;
    m->devices.tail.len = 0;
    return 0;
}

/* The owner's save() runs only after the guest was paused: after its error the
 * guest must run again. */
static void a_save_without_description(void **state)
{
    struct machine_ops ops;
    char path[PATH_MAX], address[PATH_MAX + 8];
    struct source *m;
    struct source s;
    struct error err;

    (void)state;
    make_source(&s, "save");
    snprintf(address, sizeof(address), "file:%s", temp_path(path, "saved"));
    OK(address_parse(address, &s.config.connect.address, &err), err, address);
    ops = *s.machine->ops;
    ops.save = save_nothing;
    s.machine->ops = &ops;
    OK(source_new(&s.config, s.machine, &m, &err), err, "save");
    check_refused("save", source_run(m, &err), &err, ERR_USAGE, "end in no description");
    CHECK(!machine_is_paused_for(s.machine, MACHINE_MOVING), "the guest stands still");
    source_free(m);
    machine_free(s.machine);
}

/* --- a destination --------------------------------------------------------------------------- */

struct destination {
    struct destination_config config;
    struct target *target;
};

static void wait_for_no_engine(struct destination *d)
{
    d->config.connect.engine = NULL;
}

static void wait_for_many_channels(struct destination *d)
{
    d->config.n_channels = 256;
}

static void wait_for_no_name(struct destination *d)
{
    d->config.machine = "";
}

static void have_no_target(struct destination *d)
{
    d->target = NULL;
}

static void have_a_target_of_nothing(struct destination *d)
{
    static const struct target_ops none = {.listed = NULL};
    static struct target empty = {.ops = &none};

    d->target = &empty;
}

static const struct destination_case {
    const char *label;
    void (*spoil)(struct destination *d);
    const char *refused;
} destination_cases[] = {
    {"no engine", wait_for_no_engine, "no engine"},
    {"too many channels", wait_for_many_channels, "expected 0 to 255"},
    {"an empty name", wait_for_no_name, "has no name"},
    {"no target", have_no_target, "no place for the guest"},
    {"a target without operations", have_a_target_of_nothing, "no place for the guest"},
};

static void a_destination(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(destination_cases); i++) {
        const struct destination_case *c = &destination_cases[i];
        struct destination *m = NULL;
        struct destination d;
        struct target *target;
        struct error err;

        destination_config_init(&d.config);
        OK(target_null_new(&target, &err), err, c->label);
        d.target = target;
        c->spoil(&d);
        check_refused(c->label, destination_new(&d.config, d.target, &m, &err), &err, ERR_USAGE,
                      c->refused);
        CHECK(!m, "%s: something was made", c->label);
        target_free(target);
    }
}

static void a_machine_that_loads_nothing(void **state)
{
    const struct synth_config synth = {.bytes = BYTES};
    const struct ram_set_rules usual = {0};
    struct target *target;
    struct machine *machine;
    struct destination *m;
    struct error err;

    (void)state;
    OK(machine_synth(&synth, &machine, &err), err, "machine");
    check_refused("no load", target_machine_new(machine, &usual, &target, &err), &err, ERR_USAGE,
                  "cannot load devices");
    check_refused("no machine", target_machine_new(NULL, &usual, &target, &err), &err, ERR_USAGE,
                  "cannot load devices");
    OK(target_null_new(&target, &err), err, "target");
    check_refused("no configuration", destination_new(NULL, target, &m, &err), &err, ERR_USAGE,
                  "no configuration");
    target_free(target);
    machine_free(machine);
}

/* --- the memory that a target provides ------------------------------------------------------ */

static struct {
    bool no_memory, no_bits;
    size_t shift;
} gift;

static int give(struct target *l, const struct configuration *config,
                const struct device_state *devices, struct ram_map *ram, struct error *err)
{
    (void)l;
    (void)config;
    (void)devices;
    if (ram_map_anonymous(ram, err) < 0)
        return -1;
    for (size_t i = 0; i < ram->n; i++) {
        struct ram_block *b = &ram->blocks[i];

        b->mapped = false; /* this test does not free it */
        b->host = gift.no_memory ? NULL : b->host + gift.shift;
        if (gift.no_bits) {
            free((void *)b->present);
            b->present = NULL;
        }
    }
    return 0;
}

static const struct target_ops giving = {.listed = give};

/* From a file, so that one thread does everything. */
static void land(const char *label, const char *at, const char *refused)
{
    struct target target = {.ops = &giving};
    struct destination_config config;
    struct destination *m;
    struct error err;

    destination_config_init(&config);
    OK(address_parse(at, &config.connect.address, &err), err, label);
    OK(destination_new(&config, &target, &m, &err), err, label);
    check_refused(label, destination_run(m, &err), &err, ERR_USAGE, refused);
    destination_free(m);
}

static void a_target_that_gives_too_little(void **state)
{
    char path[PATH_MAX], address[PATH_MAX + 8];
    struct source *out;
    struct source s;
    struct error err;

    (void)state;
    make_source(&s, "file");
    snprintf(address, sizeof(address), "file:%s", temp_path(path, "file"));
    OK(address_parse(address, &s.config.connect.address, &err), err, address);
    OK(source_new(&s.config, s.machine, &out, &err), err, address);
    OK(source_run(out, &err), err, address);
    source_free(out);
    machine_free(s.machine);

    gift.no_memory = true;
    land("no memory", address, "has no place for it");
    gift.no_memory = false;
    gift.no_bits = true;
    land("no bits", address, "has no place for it");
    gift.no_bits = false;
    gift.shift = 8;
    land("memory inside a page", address, "expected a multiple of 4096");
}

/* --- defaults -------------------------------------------------------------------------------- */

static void defaults(void **state)
{
    struct destination_config in;
    struct source_config out;
    struct runtime_parameters live;
    struct settings standard;

    (void)state;
    destination_config_init(&in);
    source_config_init(&out);
    settings_init(&standard);
    runtime_parameters_of(&standard, &live);
    assert_true(in.connect.engine && in.connect.engine == out.connect.engine);
    assert_int_equal(in.connect.connect_timeout_ms, 30000);
    assert_int_equal(in.connect.stall_timeout_ms, 30000);
    assert_int_equal(in.connect.answer_timeout_ms, 300000);
    assert_int_equal(out.connect.stall_timeout_ms, in.connect.stall_timeout_ms);
    assert_int_equal(in.n_channels, -1);
    assert_int_equal(in.method, -1);
    assert_null(in.machine);
    assert_int_equal(out.n_channels, 0);
    assert_int_equal(out.method, CODEC_NONE);
    assert_int_equal(out.live.downtime_limit_ms, live.downtime_limit_ms);
    assert_int_equal(out.live.max_bytes_per_s, live.max_bytes_per_s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source),
        cmocka_unit_test(a_source_of_nothing),
        cmocka_unit_test(a_save_without_description),
        cmocka_unit_test(a_destination),
        cmocka_unit_test(a_machine_that_loads_nothing),
        cmocka_unit_test(a_target_that_gives_too_little),
        cmocka_unit_test(defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
