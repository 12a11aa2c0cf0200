/*
 * x-ignore-shared to a destination without a machine, which must tell blocks that are left out from
 * blocks of zeros.
 */
#include "tests/support/memory.h"
#include "tests/support/move.h"
#include "tests/support/test.h"
#include "vmm/machine_synth.h"

#define MIB (UINT64_C(1) << 20)

/* What the destination knows when everything has arrived. */
struct note {
    struct target base;
    enum ram_travel travel[8];
    bool came[8];
    size_t n;
};

static int on_listed(struct target *l, const struct configuration *config,
                     const struct device_state *devices, struct ram_map *ram, struct error *err)
{
    (void)l;
    (void)config;
    (void)devices;
    return ram_map_anonymous(ram, err);
}

static int on_prepare(struct target *l, const struct configuration *config,
                      const struct ram_map *ram, const struct device_state *devices,
                      struct error *err)
{
    struct note *note = CONTAINER_OF(l, struct note, base);

    (void)config;
    (void)devices;
    (void)err;
    note->n = ram->n;
    for (size_t i = 0; i < ram->n; i++) {
        note->travel[i] = ram->blocks[i].travel;
        note->came[i] = ram_block_came(&ram->blocks[i]);
    }
    return 0;
}

static const struct target_ops ops = {.listed = on_listed, .prepare = on_prepare};

/* Adds a block of each kind after the machine's own. */
static struct machine *make_machine(const char *type)
{
    const struct synth_config config = {.bytes = 4 * MIB, .zero_percent = 100, .seed = 1};
    struct machine *m;
    struct error err;

    OK(machine_synth(&config, &m, &err), err, type);
    strcpy(m->config.machine, type);
    memory_add(&m->ram, "untouched", 700, false);
    memory_add(&m->ram, "data", 3, false);
    memory_add(&m->ram, "file", 600, false);
    memory_add(&m->ram, "memfd", 3, false);
    memory_add(&m->ram, "unlisted", 3, false);
    memory_fill(&m->ram.blocks[2], 2, false);
    memory_fill(&m->ram.blocks[3], 3, false);
    m->ram.blocks[3].shared = m->ram.blocks[3].named = m->ram.blocks[4].shared = true;
    m->ram.blocks[5].migratable = false;
    return m;
}

static const struct way {
    const char *label, *machine;
    unsigned n_channels;
} ways[] = {
    {"main alone", "pc-q35-10.0", 0},
    {"channels", "pc-q35-10.0", 2},
    {"channels, zero pages on main", "pc-q35-7.2", 2},
    {"ours", "ramjet-1.0", 4},
};

static void is_told_from_zeros(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        for (int ignore = 0; ignore < 2; ignore++) {
            const struct way *way = &ways[i];
            struct machine *m = make_machine(way->machine);
            struct note note = {.base.ops = &ops};
            const struct move move = {.label = way->label,
                                      .config = {.n_channels = way->n_channels,
                                                 .return_path = true,
                                                 .ram.ignore_shared = ignore}};

            move_to_target(&move, m, &note.base);
            CHECK(note.n == 5, "%s: %zu blocks", way->label, note.n);
            for (size_t b = 0; b < note.n; b++) {
                bool left_out = ignore && b == 3;

                CHECK(note.travel[b] == (left_out ? RAM_IGNORED : RAM_TRAVELS), "%s: block %s",
                      way->label, m->ram.blocks[b].name);
                CHECK(!ignore || note.came[b] == !left_out, "%s: something of %s", way->label,
                      m->ram.blocks[b].name);
            }
            machine_free(m);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_told_from_zeros)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
