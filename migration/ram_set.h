/*
 * migration/ram_set.h: which RAM blocks a migration is about. The set is made when the migration is
 * accepted and does not change until it has ended, cancelling and failing included: the stream is
 * made from this copy, whatever becomes of the machine's own list.
 */
#pragma once

#include <stdbool.h>

#include "migration/parameters.h"
#include "ram/block.h"

struct ram_set_rules {
    enum migration_mode mode;
    bool ignore_shared; /* capability x-ignore-shared */
};

/*
 * What becomes of one of a machine's blocks, QEMU's rule:
 *
 *   not migratable                             not listed
 *   mode cpr-transfer or cpr-exec              ignored, whatever it is: the memory is handed over
 *   x-ignore-shared, shared and a named file   ignored: the other end opens the same file
 *   else                                       travels
 *
 * Memory that is shared without a name (memfd) travels, and cpr-reboot by itself ignores nothing.
 */
enum ram_travel ram_set_travel(const struct ram_block *b, const struct ram_set_rules *rules);

/*
 * The machine's blocks, under the same numbers, with what becomes of each; total_bytes is of those
 * that are listed. Memory and bits stay the machine's. For ram_set_done().
 */
MUST_USE int ram_set_freeze(const struct ram_map *machine, const struct ram_set_rules *rules,
                            struct ram_map *ret, struct error *err);
/* Whether a page of any block travels. */
bool ram_set_any_travels(const struct ram_map *set);
/*
 * Whether memory that a migration is about is this process's alone, of a machine's blocks: M16.
 * What is shared has a descriptor here.
 */
bool ram_set_any_private(const struct ram_map *machine);
/* Whether the memory of any block is to be the other end's as it is. */
bool ram_set_any_ignored(const struct ram_map *set);
/* ERR_USAGE where a block is to travel whose memory is not here, or none is listed. */
MUST_USE int ram_set_check_here(const struct ram_map *set, struct error *err);
/* Zeroed is fine. */
void ram_set_done(struct ram_map *set);
