#include "base/memory_room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/kernel_file.h"
#include "base/units.h"

#define TEXT_MAX 8192 /* of a kernel's file */

static void less(struct memory_room *room, uint64_t bytes, const char *limit)
{
    if (bytes >= room->fill_bytes)
        return;
    room->fill_bytes = bytes;
    snprintf(room->fill_limit, sizeof(room->fill_limit), "%s", limit);
}

/* Reads a file of a folder into `text`; "" where the file does not exist. */
static void read_in(const char *folder, const char *name, char text[static TEXT_MAX])
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);

    text[0] = 0;
    if (len > 0 && (size_t)len < sizeof(path))
        kernel_file_read(path, text, TEXT_MAX);
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* --- the host -------------------------------------------------------------------------------- */

/* Returns the free swap. */
static uint64_t look_at_host(const char *root, struct memory_room *room)
{
    char text[TEXT_MAX];

    read_in(root, "proc/meminfo", text);
    uint64_t swap = kernel_file_number(text, "SwapFree:") << 10;
    if (strstr(text, "MemAvailable:"))
        less(room, (kernel_file_number(text, "MemAvailable:") << 10) + swap, "on this host");
    return swap;
}

/* --- control groups -------------------------------------------------------------------------- */

/* The names of one version's files. */
static const struct hierarchy {
    const char *line; /* how its line in /proc/self/cgroup begins, after the number */
    const char *folder, *most, *used, *swap_most, *swap_used;
    const char *keys[2]; /* in memory.stat: pages that the kernel can give up */
} hierarchies[] = {
    {"::",
     "/sys/fs/cgroup",
     "memory.max",
     "memory.current",
     "memory.swap.max",
     "memory.swap.current",
     {"active_file ", "inactive_file "}},
    {":memory:",
     "/sys/fs/cgroup/memory",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     NULL,
     NULL,
     {"total_active_file ", "total_inactive_file "}},
};

/* A file with one number; UINT64_MAX: "max", or there is no such file. */
static uint64_t number_of(const char *folder, const char *name)
{
    char text[TEXT_MAX], *end;

    read_in(folder, name, text);
    uint64_t n = strtoull(text, &end, 10);
    return end == text ? UINT64_MAX : n;
}

static uint64_t swap_of(const struct hierarchy *h, const char *folder, uint64_t free)
{
    if (!h->swap_most)
        return free;
    uint64_t most = number_of(folder, h->swap_most), used = number_of(folder, h->swap_used);

    return most == UINT64_MAX || used == UINT64_MAX ? free : MIN(free, minus(most, used));
}

static void look_at_group(const struct hierarchy *h, const char *folder, const char *name,
                          uint64_t swap, struct memory_room *room)
{
    uint64_t most = number_of(folder, h->most), used = number_of(folder, h->used), files = 0;
    char text[TEXT_MAX], limit[sizeof(room->fill_limit)];

    if (most > INT64_MAX / 2 || used == UINT64_MAX) /* v1 writes "no limit" as a huge number */
        return;
    read_in(folder, "memory.stat", text);
    for (size_t i = 0; i < ARRAY_LEN(h->keys); i++)
        files += kernel_file_number(text, h->keys[i]);
    snprintf(limit, sizeof(limit), "in the cgroup %s (%s)", name[0] ? name : "/", h->most);
    less(room, minus(most, minus(used, files)) + swap_of(h, folder, swap), limit);
}

/* Where the process is in this hierarchy, as "/a/b", in `text`; NULL: nowhere. */
static char *group_of(const struct hierarchy *h, char *text)
{
    char *rest = text, *line;

    while ((line = strsep(&rest, "\n"))) {
        char *at = strchr(line, ':');

        if (at && strncmp(at, h->line, strlen(h->line)) == 0)
            return at + strlen(h->line);
    }
    return NULL;
}

/* The group and all its parents. In a container the topmost is the container's own. */
static void look_at_groups(const char *root, const struct hierarchy *h, uint64_t swap,
                           struct memory_room *room)
{
    char path[PATH_MAX], text[TEXT_MAX], *name, *end;

    read_in(root, "proc/self/cgroup", text);
    name = group_of(h, text);
    if (!name)
        return;
    do {
        int len = snprintf(path, sizeof(path), "%s%s%s", root, h->folder, name);

        if (len > 0 && (size_t)len < sizeof(path))
            look_at_group(h, path, name, swap, room);
        end = strrchr(name, '/');
        if (end)
            *end = 0;
    } while (end);
}

/* --- this process ---------------------------------------------------------------------------- */

static void look_at_limits(const char *root, struct memory_room *room)
{
    static const struct {
        int resource;
        const char *name, *key;
    } rows[] = {{RLIMIT_AS, "RLIMIT_AS", "VmSize:"}, {RLIMIT_DATA, "RLIMIT_DATA", "VmData:"}};
    char text[TEXT_MAX];
    struct rlimit limit;

    read_in(root, "proc/self/status", text);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (getrlimit((unsigned)rows[i].resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
            continue;
        uint64_t left = minus(limit.rlim_cur, kernel_file_number(text, rows[i].key) << 10);
        if (left >= room->map_bytes)
            continue;
        room->map_bytes = left;
        snprintf(room->map_limit, sizeof(room->map_limit), "of this process (%s)", rows[i].name);
    }
}

/* --- the rule -------------------------------------------------------------------------------- */

void memory_room_find(const char *root, struct memory_room *ret)
{
    *ret = (struct memory_room){.fill_bytes = UINT64_MAX, .map_bytes = UINT64_MAX};
    uint64_t swap = look_at_host(root, ret);
    for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++)
        look_at_groups(root, &hierarchies[i], swap, ret);
    look_at_limits(root, ret);
}

int memory_room_judge(const struct memory_room *room, uint64_t map_bytes, uint64_t fill_bytes,
                      struct error *err)
{
    char want[UNIT_TEXT_LEN], have[UNIT_TEXT_LEN];

    if (map_bytes > room->map_bytes)
        return err_set(err, ERR_USAGE, "%s of memory: %s are left %s", memory_text(map_bytes, want),
                       memory_text(room->map_bytes, have), room->map_limit);
    if (fill_bytes > room->fill_bytes)
        return err_set(err, ERR_USAGE, "%s of memory to fill: %s are available %.200s",
                       memory_text(fill_bytes, want), memory_text(room->fill_bytes, have),
                       room->fill_limit);
    return 0;
}

int memory_room_check(uint64_t map_bytes, uint64_t fill_bytes, struct error *err)
{
    struct memory_room room;

    memory_room_find("", &room);
    return memory_room_judge(&room, map_bytes, fill_bytes, err);
}
