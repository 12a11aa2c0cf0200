#include "ram/ram_load.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/macros.h"
#include "ram/page_place.h"
#include "ram/ram_format.h"

static int list_in(struct ram_load *load, uint64_t total_bytes, struct error *err)
{
    if (ram_list_in(load->in, total_bytes, load->map, load->addresses, load->file_bytes,
                    load->from_file ? &load->mapped : NULL, err) < 0)
        return -1;
    return load->ops->listed(load, err);
}

/* Finds the block of a page record, and checks the offset with ram_span(). */
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
    ram_missing_came(&load->missing, load->last, offset);
    return page_place_zero(load->last, offset, err);
}

static int page_in(struct ram_load *load, uint64_t offset, bool same, struct error *err)
{
    uint8_t *host, buffer[RAM_PAGE_SIZE];

    if (record_span(load, offset, same, &host, err) < 0)
        return -1;
    uint8_t *room = page_place_room(host, buffer);
    in_bytes(load->in, room, RAM_PAGE_SIZE);
    if (stream_in_check(load->in, err) < 0)
        return -1;
    load->normal++;
    ram_missing_came(&load->missing, load->last, offset);
    return page_place_settle(load->last, offset, room, RAM_PAGE_SIZE, err);
}

static int barrier(struct ram_load *load, bool word, struct error *err)
{
    if (stream_in_check(load->in, err) < 0)
        return -1;
    return load->ops->barrier(load, word, err);
}

/*
 * Waits for a record without a time limit while the guest may be running. The end section is
 * written while the guest is paused: there the limit on silence applies, unless the channel says
 * that the peer may rest. False: the stream ends.
 */
static bool wait_for_record(struct ram_load *load)
{
    bool live = !load->steady &&
                (load->section != STREAM_SECTION_END || atomic_load(&load->in->channel->may_rest));
    size_t len;

    if (live)
        return stream_in_wait(load->in);
    stream_in_peek(load->in, 1, &len); /* a failure is kept in load->in */
    return true;
}

/* Reads one record; sets *ret_end at EOS. */
static int record_in(struct ram_load *load, const struct section *s, bool *ret_end,
                     struct error *err)
{
    if (!wait_for_record(load))
        stream_in_fail(load->in, "the stream ends inside the RAM section");
    uint64_t word = in_u64(load->in);
    unsigned flags = word & RAM_RECORD_FLAGS;
    uint64_t offset = word - flags;
    bool same = flags & RAM_RECORD_CONTINUE;

    if (stream_in_check(load->in, err) < 0)
        return -1;
    if (load->from_file && flags != RAM_RECORD_EOS && flags != RAM_RECORD_MEM_SIZE)
        return err_set(err, ERR_PEER, "record 0x%03x: a mapped-ram file may have only EOS", flags);
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
        return err_set(err, ERR_PEER, "xbzrle record: not supported here; switch xbzrle off");
    case RAM_RECORD_COMPRESS:
    case RAM_RECORD_COMPRESS | RAM_RECORD_CONTINUE:
        return err_set(err, ERR_PEER, "compress record: not supported here; switch compress off");
    default:
        return err_set(err, ERR_PEER, "record word 0x%016" PRIx64 ": flags 0x%03x, not a record",
                       word, flags);
    }
}

static int ram_load_section(struct section_loader *l, struct stream_in *in, const struct section *s,
                            struct error *err)
{
    struct ram_load *load = CONTAINER_OF(l, struct ram_load, base);
    bool end = false;

    load->in = in;
    load->section = s->type;
    load->flush_words = 0;
    while (!end) {
        if (record_in(load, s, &end, err) < 0)
            return -1;
    }
    if (load->map->n == 0)
        return err_set(err, ERR_PEER, "RAM section: starts without its block list");
    return 0;
}

void ram_load_init(struct ram_load *load, const struct ram_load_ops *ops, struct ram_map *map)
{
    *load = (struct ram_load){
        .base = {.kind = &ram_section, .load = ram_load_section},
        .ops = ops,
        .map = map,
    };
}

void ram_load_done(struct ram_load *load)
{
    ram_missing_done(&load->missing);
    free(load->mapped);
    load->mapped = NULL;
}
