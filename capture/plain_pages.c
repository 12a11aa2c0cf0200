#include "capture/plain_pages.h"

#include <sys/mman.h>

#include "base/memory_room.h"

/* --- pages that are only counted: their present bits say that they came ---------------------- */

static int drop_write(struct ram_block *b, uint64_t offset, const void *bytes, size_t len,
                      struct error *err)
{
    (void)b;
    (void)offset;
    (void)bytes;
    (void)len;
    (void)err;
    return 0;
}

static int drop_clear(struct ram_block *b, uint64_t offset, size_t len, struct error *err)
{
    (void)b;
    (void)offset;
    (void)len;
    (void)err;
    return 0;
}

static int drop_read(struct ram_block *b, uint64_t offset, void *bytes, size_t len,
                     struct error *err)
{
    (void)offset;
    (void)bytes;
    (void)len;
    return err_set(err, ERR_USAGE, "RAM block '%s': its pages were only counted", b->name);
}

static const struct ram_store_ops counted = {
    .write = drop_write,
    .clear = drop_clear,
    .read = drop_read,
};

static int place_counted(struct ram_map *map, struct error *err)
{
    for (size_t i = 0; i < map->n; i++) {
        map->blocks[i].store = &counted;
        if (ram_block_track(&map->blocks[i], err) < 0)
            return -1;
    }
    return 0;
}

/* --- pages in memory ------------------------------------------------------------------------- */

static int place_memory(struct ram_map *map, struct error *err)
{
    if (memory_room_check(map->total_bytes, map->total_bytes, err) < 0) {
        err_in(err, "a plain stream has to be loaded");
        return err_remedy(err, REMEDY_CONVERT);
    }
    return ram_map_anonymous(map, err);
}

int plain_pages_place(struct ram_map *map, enum snapshot_pages pages, struct error *err)
{
    return pages == PAGES_COUNTED ? place_counted(map, err) : place_memory(map, err);
}

void plain_pages_drop(struct ram_block *b)
{
    if (b->mapped)
        munmap(b->host, ram_block_mapped_bytes(b));
    b->mapped = false;
    b->host = NULL;
    b->store = NULL;
}
