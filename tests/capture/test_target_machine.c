/* What a list of RAM blocks may say to a waiting machine, and which of its own
 * blocks a source sends. */
#include "capture/target.h"
#include "tests/support/held_source.h"
#include "tests/support/memory.h"
#include "tests/support/move.h"
#include "tests/support/test.h"
#include "vmm/machine_synth.h"

#define MIB (UINT64_C(1) << 20)

/* --- lists ----------------------------------------------------------------------------------- */

struct block {
    const char *name;
    uint64_t pages;
    bool stays; /* not migratable */
};

static const struct list_case {
    const char *label;
    struct block here[3], listed[3];
    const char *part; /* a part of the refusal; NULL: it is accepted */
} list_cases[] = {
    {"alike", {{"a", 4, false}, {"b", 2, false}}, {{"a", 4, false}, {"b", 2, false}}, NULL},
    {"in another order",
     {{"a", 4, false}, {"b", 2, false}},
     {{"b", 2, false}, {"a", 4, false}},
     NULL},
    {"B5: one stays, and is not listed",
     {{"a", 4, false}, {"b", 2, true}},
     {{"a", 4, false}},
     NULL},
    {"B5: one stays here, and is listed",
     {{"a", 4, false}, {"b", 2, false}, {"c", 1, true}},
     {{"a", 4, false}, {"c", 1, false}},
     "RAM block 'c': it is not migratable here"},
    {"S7: one is unknown",
     {{"a", 4, false}, {"b", 2, false}},
     {{"a", 4, false}, {"c", 2, false}},
     "RAM block 'c': there is none"},
    {"one is missing",
     {{"a", 4, false}, {"b", 2, false}},
     {{"a", 4, false}},
     "1 RAM blocks, expected 2"},
    {"one too many",
     {{"a", 4, false}},
     {{"a", 4, false}, {"b", 2, false}},
     "RAM block 'b': there is none"},
    {"B13: longer",
     {{"a", 4, false}, {"b", 2, false}},
     {{"a", 4, false}, {"b", 3, false}},
     "RAM block 'b': 12288 bytes, expected 8192"},
    {"B13: shorter",
     {{"a", 4, false}},
     {{"a", 3, false}},
     "RAM block 'a': 12288 bytes, expected 16384"},
};

static void fill(struct ram_map *ram, const struct block blocks[static 3], bool memory)
{
    struct error err;

    for (size_t i = 0; i < 3 && blocks[i].name; i++) {
        if (memory)
            memory_add(ram, blocks[i].name, blocks[i].pages, false);
        else
            OK(ram_map_add(ram, blocks[i].name, blocks[i].pages * RAM_PAGE_SIZE, &err), err,
               blocks[i].name);
        ram->blocks[i].migratable = !blocks[i].stays;
    }
}

static int load_nothing(struct machine *m, const struct device_state *devices, struct error *err)
{
    (void)m;
    (void)devices;
    (void)err;
    return 0;
}

static const struct machine_ops waiting_ops = {.load = load_nothing};

static void lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(list_cases); i++) {
        const struct list_case *c = &list_cases[i];
        struct machine m = {.ops = &waiting_ops, .config.machine = "ramjet-1.0"};
        struct ram_map listed = {0};
        struct target *target;
        struct error err;

        fill(&m.ram, c->here, true);
        fill(&listed, c->listed, false);
        OK(target_machine_new(&m, &(struct ram_set_rules){0}, &target, &err), err, c->label);
        int rc = target->ops->listed(target, &m.config, NULL, &listed, &err);
        if (c->part)
            check_refused(c->label, rc, &err, ERR_PEER, c->part);
        else
            OK(rc, err, c->label);
        for (size_t k = 0; !c->part && k < listed.n; k++)
            CHECK(listed.blocks[k].host == ram_map_find(&m.ram, listed.blocks[k].name)->host,
                  "%s: '%s' is another block's memory", c->label, listed.blocks[k].name);
        target_free(target);
        ram_map_done(&listed);
        ram_map_done(&m.ram);
    }
}

/* --- the frozen copy ------------------------------------------------------------------------- */

/*
 * B11: after the migration was accepted, every block is replaced by another object of the same
 * contract, at another place of the list and marked to stay. The migration still sends what was
 * accepted.
 */
static void swap(void *arg)
{
    struct machine *m = arg;
    struct ram_map *ram = &m->ram;
    struct ram_block *fresh = calloc(ram->n, sizeof(*fresh));

    assert_non_null(fresh);
    for (size_t i = 0; i < ram->n; i++) {
        fresh[i] = ram->blocks[ram->n - 1 - i];
        fresh[i].migratable = !fresh[i].migratable;
    }
    memset(ram->blocks, 0x55, ram->n * sizeof(*ram->blocks));
    free(ram->blocks);
    ram->blocks = fresh;
}

static void sends_what_was_accepted(void **state)
{
    (void)state;
    for (unsigned n_channels = 0; n_channels <= 2; n_channels += 2) {
        struct synth_config config = {.bytes = 4 * MIB, .zero_percent = 20, .random_percent = 20};
        struct move move = {.label = "swapped",
                            .config = {.n_channels = n_channels,
                                       .return_path = true,
                                       .live.downtime_limit_ms = 300}};
        struct machine to = {.ops = &waiting_ops, .config.machine = "ramjet-1.0"};
        struct held_source held;
        struct machine *from;
        struct error err;

        OK(machine_synth(&config, &from, &err), err, "machine");
        memory_fill(memory_add(&from->ram, "b", 700, false), 1, true);
        memory_fill(memory_add(&from->ram, "stays", 300, false), 2, true);
        from->ram.blocks[2].migratable = false;
        memory_add(&to.ram, "stays", 300, false)->migratable = false;
        memory_add(&to.ram, "b", 700, false);
        memory_add(&to.ram, from->ram.blocks[0].name, 4 * MIB / RAM_PAGE_SIZE, false);
        held_source_init(&held, NULL);
        held.started = swap;
        held.arg = from;
        from->dirty = &held.base;
        move_machine(&move, from, &to);
        /* The swap reversed the order of the blocks, so only the block that stays differs. */
        struct ram_block *source_stays = ram_map_find(&from->ram, "stays");
        CHECK(source_stays == &from->ram.blocks[0], "it was not swapped");
        memset(source_stays->host, 0, source_stays->used_bytes);
        memory_check_equal(move.label, &from->ram, &to.ram);
        ram_map_done(&to.ram);
        from->dirty = NULL;
        held_source_done(&held);
        machine_free(from);
    }
}

/* --- M16 ------------------------------------------------------------------------------------- */

static const struct private_case {
    const char *label;
    struct {
        bool migratable, shared;
    } blocks[2];
    bool is_private;
} private_cases[] = {
    {"all are shared", {{true, true}, {true, true}}, false},
    {"one is private", {{true, true}, {true, false}}, true},
    {"the private one stays", {{true, true}, {false, false}}, false},
    {"none is shared", {{true, false}, {true, false}}, true},
    {"all stay", {{false, false}, {false, true}}, false},
};

static void tells_private_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(private_cases); i++) {
        const struct private_case *c = &private_cases[i];
        struct ram_block blocks[2] = {0};
        const struct ram_map map = {.blocks = blocks, .n = 2};

        for (size_t k = 0; k < 2; k++) {
            blocks[k].migratable = c->blocks[k].migratable;
            blocks[k].shared = c->blocks[k].shared;
        }
        CHECK(ram_set_any_private(&map) == c->is_private, "%s", c->label);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(sends_what_was_accepted),
        cmocka_unit_test(tells_private_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
