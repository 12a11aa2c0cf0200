/*
 * migration/ram_set.h: which RAM blocks a migration is about. The set is made when the migration is
 * accepted, and does not change until the migration has ended, also while it is cancelled or fails.
 * The stream is made from this copy, whatever happens to the machine's own list.
 */
#pragma once

#include <stdbool.h>

#include "ram/block.h"
#include "settings/parameters.h"

struct ram_set_rules {
    enum migration_mode mode;
    bool ignore_shared; /* capability x-ignore-shared */
};

/*
 * What happens to one of a machine's blocks, by QEMU's rule:
 *
 *   not migratable                             not listed
 *   mode cpr-transfer or cpr-exec              always ignored: the memory is handed over
 *   x-ignore-shared, shared and a named file   ignored: the other end opens the same file
 *   else                                       travels
 *
 * Memory that is shared without a name (memfd) travels, and cpr-reboot by itself ignores nothing.
 */
enum ram_travel ram_set_travel(const struct ram_block *b, const struct ram_set_rules *rules);

/*
 * Copies the machine's blocks, under the same numbers, with what happens to each; total_bytes
 * counts the blocks that are listed. Memory and bitmaps stay the machine's. Free the copy with
 * ram_set_done().
 */
MUST_USE int ram_set_freeze(const struct ram_map *machine, const struct ram_set_rules *rules,
                            struct ram_map *ret, struct error *err);
/* Whether any block travels. */
bool ram_set_any_travels(const struct ram_map *set);
/*
 * Whether any migratable block of a machine has memory that is private to this process: rule M16.
 * Shared memory always has a descriptor here.
 */
bool ram_set_any_private(const struct ram_map *machine);
/* Whether any block is ignored: the other end has its memory already, or is given it. */
bool ram_set_any_ignored(const struct ram_map *set);
/* ERR_USAGE where the memory of a block that travels is not here, or where no block is listed. */
MUST_USE int ram_set_check_here(const struct ram_map *set, struct error *err);
/* A zeroed set is fine. */
void ram_set_done(struct ram_map *set);
