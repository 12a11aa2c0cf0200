#include "migration/ram_set.h"

#include <stdlib.h>

enum ram_travel ram_set_travel(const struct ram_block *b, const struct ram_set_rules *rules)
{
    if (!b->migratable)
        return RAM_NOT_LISTED;
    if (rules->mode == MODE_CPR_TRANSFER || rules->mode == MODE_CPR_EXEC)
        return RAM_IGNORED;
    return rules->ignore_shared && b->shared && b->named ? RAM_IGNORED : RAM_TRAVELS;
}

int ram_set_freeze(const struct ram_map *machine, const struct ram_set_rules *rules,
                   struct ram_map *ret, struct error *err)
{
    struct ram_block *blocks = calloc(MAX(machine->n, (size_t)1), sizeof(*blocks));

    if (!blocks)
        return err_sys(err, "memory for the list of RAM blocks");
    *ret = (struct ram_map){.blocks = blocks, .n = machine->n};
    for (size_t i = 0; i < machine->n; i++) {
        blocks[i] = machine->blocks[i];
        blocks[i].mapped = false;
        blocks[i].travel = ram_set_travel(&blocks[i], rules);
        if (blocks[i].travel != RAM_NOT_LISTED)
            ret->total_bytes += blocks[i].used_bytes;
    }
    return 0;
}

static bool has_any(const struct ram_map *set, enum ram_travel travel)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->blocks[i].travel == travel)
            return true;
    }
    return false;
}

bool ram_set_any_travels(const struct ram_map *set)
{
    return has_any(set, RAM_TRAVELS);
}

bool ram_set_any_ignored(const struct ram_map *set)
{
    return has_any(set, RAM_IGNORED);
}

bool ram_set_any_private(const struct ram_map *machine)
{
    for (size_t i = 0; i < machine->n; i++) {
        if (machine->blocks[i].migratable && !machine->blocks[i].shared)
            return true;
    }
    return false;
}

int ram_set_check_here(const struct ram_map *set, struct error *err)
{
    if (set->total_bytes == 0)
        return err_set(err, ERR_USAGE, "no RAM block is migratable: no guest could run from this");
    for (size_t i = 0; i < set->n; i++) {
        const struct ram_block *b = &set->blocks[i];

        if (b->travel == RAM_TRAVELS && !ram_block_is_here(b))
            return err_set(
                err, ERR_USAGE,
                "RAM block '%s': its memory was left in its own file when this snapshot "
                "was made: set x-ignore-shared at both ends, and keep that file in place",
                b->name);
    }
    return 0;
}

void ram_set_done(struct ram_map *set)
{
    free(set->blocks);
    *set = (struct ram_map){0};
}
