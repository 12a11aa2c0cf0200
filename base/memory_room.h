/*
 * base/memory_room.h: how much memory this process can still fill, before the kernel ends it or
 * another process. One rule for all that fill memory: the least of what the host has available
 * (MemAvailable and free swap), what the cgroup and each of its parents leaves (v2 and v1; pages of
 * files do not count, since the kernel gives them up), and for mappings RLIMIT_AS and RLIMIT_DATA.
 *
 * It is a look at one moment: it keeps nothing for the caller.
 */
#pragma once

#include <limits.h>
#include <stdint.h>

#include "base/error.h"

struct memory_room {
    uint64_t fill_bytes; /* what can be filled; UINT64_MAX: nothing tells */
    uint64_t map_bytes;  /* what can be mapped */
    char fill_limit[PATH_MAX + 64], map_limit[64]; /* what sets the limit, for people */
};

/* `root` is "", or a folder for tests that has proc/ and sys/ as the kernel shows them. */
void memory_room_find(const char *root, struct memory_room *ret);
/*
 * Fails with ERR_USAGE and the figures where there is no room for a mapping of `map_bytes` of which
 * `fill_bytes` will be filled.
 */
MUST_USE int memory_room_judge(const struct memory_room *room, uint64_t map_bytes,
                               uint64_t fill_bytes, struct error *err);
/* Both at once, for this process. */
MUST_USE int memory_room_check(uint64_t map_bytes, uint64_t fill_bytes, struct error *err);
