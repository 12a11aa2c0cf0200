#include "ram/ram_load.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ram/ram_format.h"

/* A bitmap or its pages, inside the file? */
static bool in_file(const struct ram_load *load, uint64_t offset, uint64_t len)
{
    return len <= load->file_bytes && offset <= load->file_bytes - len;
}

static int mapped_header_in(struct ram_load *load, const struct ram_block *b,
                            struct mapped_ram *ret, struct error *err)
{
    uint32_t version = in_u32(load->in);
    uint64_t page_size = in_u64(load->in);
    struct mapped_ram m = {.bitmap_offset = in_u64(load->in), .pages_offset = in_u64(load->in)};

    if (version != MAPPED_RAM_VERSION || page_size != RAM_PAGE_SIZE)
        stream_in_fail(load->in,
                       "RAM block '%s': mapped-ram version %u with pages of %" PRIu64
                       ", expected 1 with 4096",
                       b->name, version, page_size);
    /* The pages may end in a hole that the file does not reach. */
    if (!in_file(load, m.bitmap_offset, (ram_block_pages(b) + 63) / 64 * 8) ||
        m.pages_offset > INT64_MAX - b->used_bytes || !IS_ALIGNED(m.pages_offset, RAM_PAGE_SIZE))
        stream_in_fail(load->in,
                       "RAM block '%s': bitmap at 0x%" PRIx64 " and pages at 0x%" PRIx64
                       ", expected inside the file's 0x%" PRIx64 " bytes and pages aligned to 4096",
                       b->name, m.bitmap_offset, m.pages_offset, load->file_bytes);
    if (stream_in_check(load->in, err) < 0)
        return -1;
    *ret = m;
    stream_in_seek(load->in, m.pages_offset + b->used_bytes);
    return 0;
}

static int block_in(struct ram_load *load, struct error *err)
{
    char name[256];

    in_name(load->in, name);
    uint64_t used_bytes = in_u64(load->in);
    if (stream_in_check(load->in, err) < 0)
        return -1;
    if (ram_map_add(load->map, name, used_bytes, err) < 0)
        return -1;
    if (!load->from_file)
        return 0;
    size_t n = load->map->n;
    struct mapped_ram *mapped = reallocarray(load->mapped, n, sizeof(*mapped));
    if (!mapped)
        return err_sys(err, "memory for a RAM block");
    load->mapped = mapped;
    return mapped_header_in(load, &load->map->blocks[n - 1], &mapped[n - 1], err);
}

static int list_in(struct ram_load *load, uint64_t total, struct error *err)
{
    if (load->map->n > 0)
        return err_set(err, ERR_PEER, "RAM block list: a second one, expected one");
    if (total == 0)
        return err_set(err, ERR_PEER, "RAM block list: total 0, expected some RAM");
    while (load->map->total_bytes < total) {
        if (block_in(load, err) < 0)
            return err_in(err, "RAM block list");
    }
    if (load->map->total_bytes != total)
        return err_set(err, ERR_PEER,
                       "RAM block list: total 0x%" PRIx64 ", the blocks have 0x%" PRIx64, total,
                       load->map->total_bytes);
    return load->ops->listed(load, err);
}

/* The block that a page record means, and the door into it. */
static int record_span(struct ram_load *load, uint64_t offset, bool same, uint8_t **ret_host,
                       struct error *err)
{
    if (!same) {
        char name[256];

        in_name(load->in, name);
        if (stream_in_check(load->in, err) < 0)
            return -1;
        load->last = ram_map_find(load->map, name);
        if (!load->last)
            return err_set(err, ERR_PEER, "page record: RAM block '%s' is not in the list", name);
    }
    if (!load->last)
        return err_set(err, ERR_PEER, "page record: CONTINUE before any RAM block was named");
    return ram_span(load->last, offset, RAM_PAGE_SIZE, ret_host, err);
}

static int zero_in(struct ram_load *load, uint64_t offset, bool same, struct error *err)
{
    uint8_t *host;

    if (record_span(load, offset, same, &host, err) < 0)
        return -1;
    uint8_t fill = in_u8(load->in);
    if (fill != 0)
        stream_in_fail(load->in, "ZERO record: fill byte 0x%02x, expected 0", fill);
    if (stream_in_check(load->in, err) < 0)
        return -1;
    load->zero++;
    return ram_zero_page(load->last, offset, err);
}

static int page_in(struct ram_load *load, uint64_t offset, bool same, struct error *err)
{
    uint8_t *host, page[RAM_PAGE_SIZE];

    if (record_span(load, offset, same, &host, err) < 0)
        return -1;
    in_bytes(load->in, host ? host : page, RAM_PAGE_SIZE);
    if (stream_in_check(load->in, err) < 0)
        return -1;
    load->normal++;
    if (!host)
        return ram_write(load->last, offset, page, RAM_PAGE_SIZE, err);
    ram_mark_present(load->last, offset, RAM_PAGE_SIZE);
    return 0;
}

static int barrier(struct ram_load *load, bool word, struct error *err)
{
    if (stream_in_check(load->in, err) < 0)
        return -1;
    return load->ops->barrier(load, word, err);
}

/* One record; *ret_end at EOS. */
static int record_in(struct ram_load *load, const struct section *s, bool *ret_end,
                     struct error *err)
{
    if (!stream_in_wait(load->in))
        stream_in_fail(load->in, "the stream ends inside the RAM section");
    uint64_t word = in_u64(load->in);
    unsigned flags = word & RAM_RECORD_FLAGS;
    uint64_t offset = word - flags;
    bool same = flags & RAM_RECORD_CONTINUE;

    if (stream_in_check(load->in, err) < 0)
        return -1;
    if (load->from_file && flags != RAM_RECORD_EOS && flags != RAM_RECORD_MEM_SIZE)
        return err_set(err, ERR_PEER, "record 0x%03x: a mapped-ram file has none but EOS", flags);
    switch (flags) {
    case RAM_RECORD_MEM_SIZE:
        if (s->type != STREAM_SECTION_START)
            return err_set(err, ERR_PEER, "RAM block list: outside the section's start");
        return list_in(load, offset, err);
    case RAM_RECORD_ZERO:
    case RAM_RECORD_ZERO | RAM_RECORD_CONTINUE:
        return zero_in(load, offset, same, err);
    case RAM_RECORD_PAGE:
    case RAM_RECORD_PAGE | RAM_RECORD_CONTINUE:
        return page_in(load, offset, same, err);
    case RAM_RECORD_HOOK:
        return 0;
    case RAM_RECORD_FLUSH:
        load->flush_words++;
        return barrier(load, true, err);
    case RAM_RECORD_EOS:
        *ret_end = true;
        return barrier(load, false, err);
    case RAM_RECORD_XBZRLE:
    case RAM_RECORD_XBZRLE | RAM_RECORD_CONTINUE:
        return err_set(err, ERR_PEER, "xbzrle record: not taken here; switch xbzrle off");
    case RAM_RECORD_COMPRESS:
    case RAM_RECORD_COMPRESS | RAM_RECORD_CONTINUE:
        return err_set(err, ERR_PEER, "compress record: not taken here; switch compress off");
    default:
        return err_set(err, ERR_PEER, "record word 0x%016" PRIx64 ": flags 0x%03x, not a record",
                       word, flags);
    }
}

static int check_header(struct ram_load *load, const struct section *s, struct error *err)
{
    if (s->type != STREAM_SECTION_START) {
        if (!load->started || s->id != load->section_id)
            return err_set(err, ERR_PEER, "section id %u: never started", s->id);
        return 0;
    }
    if (load->started)
        return err_set(err, ERR_PEER, "a second RAM section start, expected one");
    if (s->version != RAM_SECTION_VERSION)
        return err_set(err, ERR_PEER, "RAM section: version %u, expected %u", s->version,
                       RAM_SECTION_VERSION);
    if (s->instance != 0)
        return err_set(err, ERR_PEER, "RAM section: instance %u, expected 0", s->instance);
    load->started = true;
    load->section_id = s->id;
    return 0;
}

int ram_load_section(struct ram_load *load, const struct section *s, struct error *err)
{
    bool end = false;

    if (check_header(load, s, err) < 0)
        return -1;
    load->section = s->type;
    load->flush_words = 0;
    while (!end) {
        if (record_in(load, s, &end, err) < 0)
            return -1;
    }
    if (load->map->n == 0)
        return err_set(err, ERR_PEER, "RAM section: starts without its block list");
    section_in_end(load->in, s);
    return stream_in_check(load->in, err);
}

void ram_load_done(struct ram_load *load)
{
    free(load->mapped);
    load->mapped = NULL;
}
