#include "ram/block.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE (UINT64_C(2) << 20)

int ram_map_add(struct ram_map *map, const char *name, uint64_t used_bytes, struct error *err)
{
    if (map->n >= RAM_BLOCKS_MAX)
        return err_set(err, ERR_PEER, "more than %d RAM blocks", RAM_BLOCKS_MAX);
    if (!name[0] || strlen(name) >= RAM_BLOCK_NAME)
        return err_set(err, ERR_PEER, "RAM block %zu: a name of %zu bytes, expected 1 to %d",
                       map->n, strlen(name), RAM_BLOCK_NAME - 1);
    for (const char *p = name; *p; p++) {
        if (*p < 0x20 || *p > 0x7e)
            return err_set(err, ERR_PEER,
                           "RAM block '%s': its name holds byte 0x%02x, expected printable ASCII",
                           name, (unsigned char)*p);
    }
    if (ram_map_find(map, name))
        return err_set(err, ERR_PEER, "RAM block '%s': listed twice", name);
    if (used_bytes == 0 || used_bytes > RAM_BLOCK_MAX || !IS_ALIGNED(used_bytes, RAM_PAGE_SIZE))
        return err_set(err, ERR_PEER,
                       "RAM block '%s': length 0x%" PRIx64 ", expected a multiple of 4096, at most "
                       "64 TiB",
                       name, used_bytes);
    struct ram_block *blocks = reallocarray(map->blocks, map->n + 1, sizeof(*blocks));
    if (!blocks)
        return err_sys(err, "memory for a RAM block");
    map->blocks = blocks;
    blocks[map->n] = (struct ram_block){.used_bytes = used_bytes,
                                        .host_page_bytes = RAM_PAGE_SIZE,
                                        .fd = -1,
                                        .direct_fd = -1,
                                        .memory_fd = -1,
                                        .migratable = true};
    strcpy(blocks[map->n].name, name);
    map->n++;
    map->total_bytes += used_bytes;
    return 0;
}

int ram_map_check_host(const struct ram_map *map, struct error *err)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct ram_block *b = &map->blocks[i];

        if (!IS_ALIGNED((uintptr_t)b->host, RAM_PAGE_SIZE))
            return err_set(err, ERR_USAGE,
                           "RAM block '%s': its memory begins at %p, expected a multiple of 4096",
                           b->name, (void *)b->host);
    }
    return 0;
}

struct ram_block *ram_map_find(const struct ram_map *map, const char *name)
{
    for (size_t i = 0; i < map->n; i++) {
        if (strcmp(map->blocks[i].name, name) == 0)
            return &map->blocks[i];
    }
    return NULL;
}

void ram_map_done(struct ram_map *map)
{
    for (size_t i = 0; i < map->n; i++) {
        struct ram_block *b = &map->blocks[i];

        if (b->mapped)
            munmap(b->host, ram_block_mapped_bytes(b));
        free(UNQUALIFIED(b->present));
        free(UNQUALIFIED(b->page_sums));
    }
    free(map->blocks);
    *map = (struct ram_map){0};
}

int ram_span(const struct ram_block *b, uint64_t offset, size_t len, uint8_t **ret_host,
             struct error *err)
{
    if (b->travel != RAM_TRAVELS)
        return err_set(
            err, ERR_PEER,
            "RAM block '%s': a page of it, expected none: its memory is shared, or is not "
            "migrated",
            b->name);
    if (!IS_ALIGNED(offset, RAM_PAGE_SIZE) || !IS_ALIGNED(len, RAM_PAGE_SIZE))
        return err_set(err, ERR_PEER,
                       "RAM block '%s': offset 0x%" PRIx64 ", expected a multiple of 4096", b->name,
                       offset);
    if (len > b->used_bytes || offset > b->used_bytes - len)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': offset 0x%" PRIx64 ", expected at most 0x%" PRIx64, b->name,
                       offset, b->used_bytes - MIN((uint64_t)len, b->used_bytes));
    *ret_host = b->host ? b->host + offset : NULL;
    return 0;
}

void ram_mark_present(struct ram_block *b, uint64_t offset, size_t len)
{
    uint64_t first = offset >> RAM_PAGE_BITS, end = (offset + len) >> RAM_PAGE_BITS;

    while (first < end) {
        uint64_t in_word = MIN(64 - first % 64, end - first);
        uint64_t mask = (in_word == 64 ? UINT64_MAX : (UINT64_C(1) << in_word) - 1) << first % 64;

        atomic_fetch_or_explicit(&b->present[first / 64], mask, memory_order_relaxed);
        first += in_word;
    }
}

bool ram_block_came(const struct ram_block *b)
{
    bool came = atomic_load_explicit(&b->zeroed, memory_order_relaxed);

    for (uint64_t w = 0; !came && w < (ram_block_pages(b) + 63) / 64; w++)
        came = atomic_load_explicit(&b->present[w], memory_order_relaxed) != 0;
    return came;
}

int ram_block_track(struct ram_block *b, struct error *err)
{
    b->present = calloc((ram_block_pages(b) + 63) / 64, sizeof(*b->present));
    if (!b->present)
        return err_sys(err, "RAM block '%s': memory for its bitmap", b->name);
    return 0;
}

/* Aligned to a huge page: otherwise the block's two ends could not be huge pages. */
static void *map_aligned(uint64_t len)
{
    uint8_t *wide = mmap(NULL, len + HUGE_PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (wide == MAP_FAILED)
        return NULL;
    uint8_t *start = (uint8_t *)ALIGN_UP((uintptr_t)wide, HUGE_PAGE);
    if (start > wide)
        munmap(wide, (size_t)(start - wide));
    munmap(start + len, (size_t)(wide + HUGE_PAGE - start));
    return start;
}

int ram_block_map_anonymous(struct ram_block *b, struct error *err)
{
    void *host = map_aligned(b->used_bytes);

    if (!host)
        return err_sys(err, "RAM block '%s': %" PRIu64 " MiB of memory", b->name,
                       b->used_bytes >> 20);
    b->host = host;
    b->mapped = true;
    /* Only advice: if the kernel has no huge pages, the guest runs on small ones. */
    if (b->used_bytes >= HUGE_PAGE)
        madvise(host, b->used_bytes, MADV_HUGEPAGE);
    return 0;
}

int ram_map_anonymous(struct ram_map *map, struct error *err)
{
    for (size_t i = 0; i < map->n; i++) {
        if (ram_block_map_anonymous(&map->blocks[i], err) < 0 ||
            ram_block_track(&map->blocks[i], err) < 0)
            return -1;
    }
    return 0;
}
