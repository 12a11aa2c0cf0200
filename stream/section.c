#include "stream/section.h"

#include "base/bytes.h"

static bool has_name(enum stream_element type)
{
    return type == STREAM_SECTION_START || type == STREAM_SECTION_FULL;
}

void section_out_begin(struct stream_out *out, const struct section *s)
{
    out_u8(out, (uint8_t)s->type);
    out_u32(out, s->id);
    if (!has_name(s->type))
        return;
    out_name(out, s->name);
    out_u32(out, s->instance);
    out_u32(out, s->version);
}

void section_out_end(struct stream_out *out, const struct section *s)
{
    out_u8(out, STREAM_FOOTER);
    out_u32(out, s->id);
}

void section_in_begin(struct stream_in *in, enum stream_element type, struct section *ret)
{
    *ret = (struct section){.type = type, .id = in_u32(in)};
    if (!has_name(type))
        return;
    in_name(in, ret->name);
    ret->instance = in_u32(in);
    ret->version = in_u32(in);
}

void section_in_end(struct stream_in *in, const struct section *s)
{
    uint8_t type = in_u8(in);
    uint32_t id = in_u32(in);

    if (type != STREAM_FOOTER)
        stream_in_fail(in, "section footer: found byte 0x%02x, expected 0x%02x", type,
                       STREAM_FOOTER);
    if (id != s->id)
        stream_in_fail(in, "section footer: id %u, expected %u", id, s->id);
}

/* Bytes of the next element that we look at: type, id, the name's length. */
#define NEXT_LEN 6

/* Whether an element may begin here. `next` has NEXT_LEN bytes. */
static bool element_plausible(const uint8_t *next)
{
    struct reader r = reader_of(next, NEXT_LEN);

    switch (get_u8(&r)) {
    case STREAM_SECTION_START:
    case STREAM_SECTION_FULL:
        get_u32(&r);
        return get_u8(&r) > 0;
    case STREAM_SECTION_PART:
    case STREAM_SECTION_END:
        return true;
    case STREAM_COMMAND:
        return get_u16(&r) <= COMMAND_SWITCHOVER_START;
    case STREAM_EOF:
        return get_u8(&r) == STREAM_DESCRIPTION;
    default:
        return false;
    }
}

void section_in_skip(struct stream_in *in, const struct section *s)
{
    uint8_t footer[STREAM_FOOTER_LEN];
    struct writer w = writer_of(footer, sizeof(footer));
    uint64_t skipped = 0;

    put_u8(&w, STREAM_FOOTER);
    put_u32(&w, s->id);
    while (!in->failed && skipped <= STREAM_DEVICES_MAX) {
        size_t len, i;
        const uint8_t *p = stream_in_peek(in, STREAM_FOOTER_LEN + NEXT_LEN, &len);

        if (!p)
            break;
        size_t last = len - (STREAM_FOOTER_LEN + NEXT_LEN);
        for (i = 0; i <= last; i++) {
            if (memcmp(p + i, footer, sizeof(footer)) == 0 &&
                element_plausible(p + i + sizeof(footer))) {
                in_skip(in, i + sizeof(footer));
                return;
            }
        }
        in_skip(in, i);
        skipped += i;
    }
    stream_in_fail(in, "section '%s': no footer within %llu bytes", s->name,
                   (unsigned long long)STREAM_DEVICES_MAX);
}
