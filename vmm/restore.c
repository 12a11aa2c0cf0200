#include "vmm/restore.h"

#include <inttypes.h>
#include <unistd.h>

#include "ram/resident.h"

/* The most that one call reads. */
#define PIECE_PAGES 1024U

static int read_pages(const struct ram_block *from, struct ram_block *to, uint64_t page,
                      uint64_t n_pages, struct error *err)
{
    uint64_t offset = page << RAM_PAGE_BITS, end = offset + (n_pages << RAM_PAGE_BITS);
    uint8_t *host;

    if (ram_span(to, offset, end - offset, &host, err) < 0)
        return -1;
    ram_mark_present(to, offset, end - offset);
    while (offset < end) {
        ssize_t n = pread(from->fd, host, end - offset, (off_t)(from->fd_offset + offset));

        if (n < 0)
            return err_sys(err, "reading byte %" PRIu64, offset);
        if (n == 0)
            return err_set(err, ERR_PEER, "the file ends at byte %" PRIu64, offset);
        offset += (uint64_t)n;
        host += n;
    }
    return 0;
}

/* Neighbours together; what was never written is zero at both places. */
static int read_resident(const struct ram_block *from, struct ram_block *to,
                         const struct dirty_bitmap *resident, struct error *err)
{
    uint64_t first = 0, n = 0, n_pages = ram_block_pages(from);

    for (uint64_t page = 0; page <= n_pages; page++) {
        bool is = page < n_pages && resident->words[page / 64] >> page % 64 & 1;

        if (n && (!is || n == PIECE_PAGES)) {
            if (read_pages(from, to, first, n, err) < 0)
                return -1;
            n = 0;
        }
        if (is && n++ == 0)
            first = page;
    }
    return 0;
}

static int restore_block(const struct ram_block *from, struct ram_block *to, struct error *err)
{
    struct dirty_bitmap resident = {0};

    if (dirty_bitmap_init(&resident, ram_block_pages(from), err) < 0)
        return -1;
    int rc = ram_resident(from, &resident, err);
    if (rc == 0)
        rc = read_resident(from, to, &resident, err);
    dirty_bitmap_done(&resident);
    return rc < 0 ? err_in(err, "RAM block '%s'", from->name) : 0;
}

static int restore_into(const struct machine *from, struct landing *to, struct ram_map *map,
                        struct error *err)
{
    for (size_t i = 0; i < from->ram.n; i++) {
        if (ram_map_add(map, from->ram.blocks[i].name, from->ram.blocks[i].used_bytes, err) < 0)
            return -1;
    }
    if (to->ops->listed(to, &from->config, &from->devices, map, err) < 0)
        return -1;
    for (size_t i = 0; i < map->n; i++) {
        if (restore_block(&from->ram.blocks[i], &map->blocks[i], err) < 0)
            return -1;
    }
    return to->ops->commit(to, &from->config, map, &from->devices, err);
}

int restore(const struct machine *from, struct landing *to, struct error *err)
{
    struct ram_map map = {0};
    int rc = restore_into(from, to, &map, err);

    ram_map_done(&map);
    return rc;
}
