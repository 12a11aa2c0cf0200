#include "ram/ram_list.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ram/ram_format.h"

const struct section_kind ram_section = {
    .name = RAM_SECTION_NAME,
    .version = RAM_SECTION_VERSION,
    .title = "RAM section",
};

/* --- where a mapped-ram file has its pages -----------------------------------------------------
 */

/* An upper limit for an entry of the list: name, length, address, mapped-ram header. */
#define ENTRY_MAX (RAM_BLOCK_NAME + 8 + 8 + MAPPED_RAM_HEADER_LEN)

#define BITMAP_ALIGN 64 /* no reader needs it; it helps a reader that maps the bitmap */

uint64_t mapped_ram_layout(const struct ram_map *map, uint64_t at, struct mapped_ram *ret)
{
    uint64_t end = at;

    for (size_t i = 0; i < map->n; i++) {
        const struct ram_block *b = &map->blocks[i];

        ret[i] = (struct mapped_ram){0};
        at += b->travel == RAM_NOT_LISTED ? 0 : ENTRY_MAX;
        if (b->travel != RAM_TRAVELS)
            continue;
        ret[i].bitmap_offset = ALIGN_UP(at, BITMAP_ALIGN);
        ret[i].pages_offset =
            ALIGN_UP(ret[i].bitmap_offset + mapped_ram_bitmap_bytes(b), MAPPED_RAM_ALIGN);
        at = end = ret[i].pages_offset + b->used_bytes;
    }
    return end;
}

/* --- one block's mapped-ram header ------------------------------------------------------------ */

/* Writes the block's bitmap; `words` NULL: all bits are 0. */
static void bitmap_out(struct stream_out *out, const struct ram_block *b,
                       const _Atomic uint64_t *words)
{
    for (uint64_t w = 0; w < mapped_ram_bitmap_bytes(b) / 8; w++) {
        uint64_t word = htole64(words ? atomic_load_explicit(&words[w], memory_order_relaxed) : 0);

        out_bytes(out, &word, sizeof(word));
    }
}

static void mapped_out(struct stream_out *out, const struct ram_block *b,
                       const struct mapped_ram *m)
{
    bool ignored = b->travel == RAM_IGNORED;

    out_u32(out, MAPPED_RAM_VERSION);
    out_u64(out, RAM_PAGE_SIZE);
    out_u64(out, ignored ? 0 : m->bitmap_offset);
    out_u64(out, ignored ? 0 : m->pages_offset);
    if (ignored)
        return;
    stream_out_seek(out, m->bitmap_offset);
    bitmap_out(out, b, b->present);
    stream_out_seek(out, m->pages_offset + b->used_bytes);
}

static bool in_file(uint64_t file_bytes, uint64_t offset, uint64_t len)
{
    return len <= file_bytes && offset <= file_bytes - len;
}

/* True for an ignored block, which has no place in the file. */
static bool is_nowhere(const struct mapped_ram *m)
{
    return m->bitmap_offset == 0 && m->pages_offset == 0;
}

/*
 * Refuses any order in the file but this one: a block's header, its bitmap, its pages, then the
 * next block. So no two parts can overlap. Also refuses a bitmap or pages that leave the file.
 */
static void check_places(struct stream_in *in, const struct ram_block *b,
                         const struct mapped_ram *m, uint64_t file_bytes)
{
    uint64_t len = mapped_ram_bitmap_bytes(b);

    if (!in_file(file_bytes, m->bitmap_offset, len))
        stream_in_fail(in,
                       "RAM block '%s': bitmap offset 0x%" PRIx64 ", expected %" PRIu64
                       " bytes inside the file's 0x%" PRIx64,
                       b->name, m->bitmap_offset, len, file_bytes);
    if (m->bitmap_offset < in->offset)
        stream_in_fail(in,
                       "RAM block '%s': bitmap offset 0x%" PRIx64 ", expected at least 0x%" PRIx64
                       ", where its header ends",
                       b->name, m->bitmap_offset, in->offset);
    if (!IS_ALIGNED(m->pages_offset, RAM_PAGE_SIZE))
        stream_in_fail(in,
                       "RAM block '%s': pages offset 0x%" PRIx64 ", expected a multiple of 4096",
                       b->name, m->pages_offset);
    if (m->pages_offset < m->bitmap_offset + len)
        stream_in_fail(in,
                       "RAM block '%s': pages offset 0x%" PRIx64 ", expected at least 0x%" PRIx64
                       ", where its bitmap ends",
                       b->name, m->pages_offset, m->bitmap_offset + len);
    if (!in_file(file_bytes, m->pages_offset, b->used_bytes))
        stream_in_fail(in,
                       "RAM block '%s': pages offset 0x%" PRIx64 ", expected 0x%" PRIx64
                       " bytes inside the file's 0x%" PRIx64,
                       b->name, m->pages_offset, b->used_bytes, file_bytes);
}

static int mapped_in(struct stream_in *in, struct ram_block *b, bool may_ignore,
                     uint64_t file_bytes, struct mapped_ram *ret, struct error *err)
{
    uint32_t version = in_u32(in);
    uint64_t page_size = in_u64(in);
    struct mapped_ram m = {.bitmap_offset = in_u64(in), .pages_offset = in_u64(in)};

    if (version != MAPPED_RAM_VERSION)
        stream_in_fail(in, "RAM block '%s': mapped-ram version %u, expected %d", b->name, version,
                       MAPPED_RAM_VERSION);
    if (page_size != RAM_PAGE_SIZE)
        stream_in_fail(in, "RAM block '%s': page size %" PRIu64 ", expected 4096", b->name,
                       page_size);
    if (may_ignore && is_nowhere(&m))
        b->travel = RAM_IGNORED;
    else
        check_places(in, b, &m, file_bytes);
    if (stream_in_check(in, err) < 0)
        return -1;
    *ret = m;
    if (b->travel == RAM_TRAVELS)
        stream_in_seek(in, m.pages_offset + b->used_bytes);
    return 0;
}

/* --- the list --------------------------------------------------------------------------------- */

void ram_list_out(struct stream_out *out, const struct ram_map *map, bool addresses,
                  const struct mapped_ram *mapped)
{
    out_u64(out, map->total_bytes | RAM_RECORD_MEM_SIZE);
    for (size_t i = 0; i < map->n; i++) {
        const struct ram_block *b = &map->blocks[i];

        if (b->travel == RAM_NOT_LISTED)
            continue;
        out_name(out, b->name);
        out_u64(out, b->used_bytes);
        if (addresses)
            out_u64(out, b->address);
        if (mapped)
            mapped_out(out, b, &mapped[i]);
    }
}

void ram_list_bitmaps_out(struct stream_out *out, const struct ram_map *map,
                          const struct mapped_ram *mapped, const struct dirty_bitmap *written)
{
    uint64_t back = out->offset;
    bool any = false;

    for (size_t i = 0; i < map->n; i++) {
        if (map->blocks[i].travel != RAM_TRAVELS)
            continue;
        stream_out_seek(out, mapped[i].bitmap_offset);
        bitmap_out(out, &map->blocks[i], written[i].words);
        any = true;
    }
    if (any)
        stream_out_seek(out, back);
}

static int block_in(struct stream_in *in, struct ram_map *map, bool addresses, struct error *err)
{
    char name[256];

    in_name(in, name);
    uint64_t used_bytes = in_u64(in), address = addresses ? in_u64(in) : 0;
    if (stream_in_check(in, err) < 0 || ram_map_add(map, name, used_bytes, err) < 0)
        return -1;
    map->blocks[map->n - 1].address = address;
    return 0;
}

/* Reads the mapped-ram header of the map's latest block and appends it to the caller's array. The
 * caller frees the array, after a failure too. */
static int append_mapped(struct stream_in *in, const struct ram_map *map, bool may_ignore,
                         uint64_t file_bytes, struct mapped_ram **array, struct error *err)
{
    size_t n = map->n;
    struct mapped_ram *mapped = reallocarray(*array, n, sizeof(*mapped));

    if (!mapped)
        return err_sys(err, "memory for a RAM block");
    *array = mapped;
    return mapped_in(in, &map->blocks[n - 1], may_ignore, file_bytes, &mapped[n - 1], err);
}

int ram_list_in(struct stream_in *in, uint64_t total_bytes, struct ram_map *map, bool addresses,
                uint64_t file_bytes, struct mapped_ram **ret_mapped, struct error *err)
{
    struct mapped_ram *mapped = NULL;
    int rc = 0;

    if (map->n > 0)
        return err_set(err, ERR_PEER, "RAM block list: a second one, expected one");
    if (total_bytes == 0)
        return err_set(err, ERR_PEER, "RAM block list: total 0, expected some RAM");
    while (rc == 0 && map->total_bytes < total_bytes) {
        rc = block_in(in, map, addresses, err);
        if (rc == 0 && ret_mapped)
            rc = append_mapped(in, map, addresses, file_bytes, &mapped, err);
    }
    if (rc < 0)
        err_in(err, "RAM block list");
    else if (map->total_bytes != total_bytes)
        rc = err_set(err, ERR_PEER,
                     "RAM block list: total 0x%" PRIx64 ", the blocks have 0x%" PRIx64, total_bytes,
                     map->total_bytes);
    if (rc < 0)
        free(mapped);
    else if (ret_mapped)
        *ret_mapped = mapped;
    return rc;
}
