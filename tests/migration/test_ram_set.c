/* Which blocks a migration carries: QEMU's truth table; and that the set stays as it was
 * accepted. */
#include "migration/ram_set.h"

#include <inttypes.h>

#include "tests/support/memory.h"
#include "tests/support/test.h"

/*
 * For a block that is not migratable, then for one that is: private, named alone, shared alone,
 * both. '-': not listed; 'i': ignored; 't': travels.
 */
static const struct rules_row {
    const char *label;
    struct ram_set_rules rules;
    const char *want;
} table[] = {
    {"normal", {MODE_NORMAL, false}, "----tttt"},
    {"normal, x-ignore-shared", {MODE_NORMAL, true}, "----ttti"},
    {"cpr-reboot", {MODE_CPR_REBOOT, false}, "----tttt"},
    {"cpr-reboot, x-ignore-shared", {MODE_CPR_REBOOT, true}, "----ttti"},
    {"cpr-transfer", {MODE_CPR_TRANSFER, false}, "----iiii"},
    {"cpr-transfer, x-ignore-shared", {MODE_CPR_TRANSFER, true}, "----iiii"},
    {"cpr-exec", {MODE_CPR_EXEC, false}, "----iiii"},
    {"cpr-exec, x-ignore-shared", {MODE_CPR_EXEC, true}, "----iiii"},
};

#define KINDS 8

/* Kind 0 to 7: the three bits of the table's columns. */
static void set_kind(struct ram_block *b, unsigned kind)
{
    b->migratable = kind & 4;
    b->shared = kind & 2;
    b->named = kind & 1;
}

static char letter_of(enum ram_travel travel)
{
    static const char letters[] = {
        [RAM_TRAVELS] = 't', [RAM_IGNORED] = 'i', [RAM_NOT_LISTED] = '-'};

    return letters[travel];
}

static void truth_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        for (unsigned kind = 0; kind < KINDS; kind++) {
            struct ram_block b = {.name = "m", .used_bytes = RAM_PAGE_SIZE};

            set_kind(&b, kind);
            char found = letter_of(ram_set_travel(&b, &table[i].rules));
            CHECK(found == table[i].want[kind], "%s: migratable %d, shared %d, named %d: %c",
                  table[i].label, b.migratable, b.shared, b.named, found);
        }
    }
}

/* One block of each kind; block k has k + 1 pages. */
static void make_machine(struct ram_map *map)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        char name[8];

        snprintf(name, sizeof(name), "b%u", kind);
        memory_add(map, name, kind + 1, true);
        set_kind(&map->blocks[kind], kind);
    }
}

static void frozen_by_every_rule(void **state)
{
    struct ram_map machine = {0};

    (void)state;
    make_machine(&machine);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct rules_row *row = &table[i];
        struct ram_map set;
        struct error err;
        uint64_t pages = 0;

        OK(ram_set_freeze(&machine, &row->rules, &set, &err), err, row->label);
        CHECK(set.n == KINDS, "%s: %zu blocks", row->label, set.n);
        for (unsigned kind = 0; kind < KINDS; kind++) {
            const struct ram_block *b = &set.blocks[kind], *own = &machine.blocks[kind];

            CHECK(letter_of(b->travel) == row->want[kind], "%s: %s", row->label, b->name);
            CHECK(strcmp(b->name, own->name) == 0 && b->host == own->host &&
                      b->present == own->present && b->used_bytes == own->used_bytes,
                  "%s: %s is another block", row->label, b->name);
            CHECK(!b->mapped && own->mapped, "%s: %s would be unmapped twice", row->label, b->name);
            pages += row->want[kind] == '-' ? 0 : kind + 1;
        }
        CHECK(set.total_bytes == pages * RAM_PAGE_SIZE, "%s: total 0x%" PRIx64, row->label,
              set.total_bytes);
        CHECK(ram_set_any_travels(&set) == !!strchr(row->want, 't'), "%s: any travels", row->label);
        CHECK(ram_set_any_ignored(&set) == !!strchr(row->want, 'i'), "%s: any ignored", row->label);
        ram_set_done(&set);
    }
    ram_map_done(&machine);
}

/* Whatever happens to the machine's own list: it grows, a block is replaced. */
static void stays_as_it_was(void **state)
{
    const struct ram_set_rules rules = {MODE_NORMAL, true};
    struct ram_map machine = {0}, set;
    struct error err;

    (void)state;
    make_machine(&machine);
    OK(ram_set_freeze(&machine, &rules, &set, &err), err, "freeze");
    uint64_t total = set.total_bytes;
    memory_add(&machine, "more", 100, true);
    for (unsigned kind = 0; kind < KINDS; kind++)
        set_kind(&machine.blocks[kind], KINDS - 1 - kind);
    strcpy(machine.blocks[7].name, "other");
    CHECK(set.n == KINDS && set.total_bytes == total, "it has grown");
    for (unsigned kind = 0; kind < KINDS; kind++)
        CHECK(letter_of(set.blocks[kind].travel) == "----ttti"[kind], "block %u", kind);
    CHECK(ram_map_find(&set, "b7") && !ram_map_find(&set, "other"), "a name has changed");
    ram_set_done(&set);
    ram_map_done(&machine);
}

static void nothing_at_all(void **state)
{
    struct ram_map machine = {0}, set;
    struct error err;

    (void)state;
    OK(ram_set_freeze(&machine, &(struct ram_set_rules){0}, &set, &err), err, "empty");
    CHECK(set.n == 0 && set.total_bytes == 0, "something");
    CHECK(!ram_set_any_travels(&set) && !ram_set_any_ignored(&set), "something travels");
    ram_set_done(&set);
    ram_set_done(&(struct ram_map){0});
}

/* A snapshot's block whose memory was left in its own file. */
static void what_is_not_here(void **state)
{
    struct ram_map machine = {0}, set;
    struct error err;

    (void)state;
    memory_add(&machine, "here", 1, true);
    OK(ram_map_add(&machine, "left", RAM_PAGE_SIZE, &err), err, "add");
    machine.blocks[1].shared = machine.blocks[1].named = true;
    for (int ignore = 0; ignore < 2; ignore++) {
        const struct ram_set_rules rules = {MODE_NORMAL, ignore};

        OK(ram_set_freeze(&machine, &rules, &set, &err), err, "freeze");
        int rc = ram_set_check_here(&set, &err);
        if (ignore)
            OK(rc, err, "left out again");
        else
            check_refused("to travel", rc, &err, ERR_USAGE,
                          "RAM block 'left': its memory was left");
        ram_set_done(&set);
    }
    ram_map_done(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truth_table),      cmocka_unit_test(frozen_by_every_rule),
        cmocka_unit_test(stays_as_it_was),  cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(what_is_not_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
