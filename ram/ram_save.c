#include "ram/ram_save.h"

#include "ram/page_inline.h"
#include "ram/ram_format.h"
#include "stream/section.h"

static struct section section_of(const struct ram_save *rs, enum stream_element type)
{
    return (struct section){
        .type = type,
        .id = rs->section_id,
        .name = RAM_SECTION_NAME,
        .version = RAM_SECTION_VERSION,
    };
}

/* Writes FLUSH if needed, EOS and the footer. Sends them at once: the destination waits for it. */
static int end_section(struct ram_save *rs, const struct section *s, struct error *err)
{
    if (rs->flush == RAM_FLUSH_WORD)
        out_u64(rs->out, RAM_RECORD_FLUSH);
    out_u64(rs->out, RAM_RECORD_EOS);
    section_out_end(rs->out, s);
    return stream_out_flush(rs->out, err);
}

int ram_save_start(struct ram_save *rs, struct error *err)
{
    struct section s = section_of(rs, STREAM_SECTION_START);

    section_out_begin(rs->out, &s);
    ram_list_out(rs->out, rs->map, rs->addresses, rs->mapped);
    if (rs->sink->ops->round(rs->sink, NULL, rs->flush != RAM_FLUSH_NONE, err) < 0)
        return err_in(err, "RAM setup");
    return end_section(rs, &s, err);
}

int ram_save_round(struct ram_save *rs, struct ram_round *round, bool last, struct error *err)
{
    struct section s = section_of(rs, last ? STREAM_SECTION_END : STREAM_SECTION_PART);

    section_out_begin(rs->out, &s);
    ram_round_restart(round);
    if (rs->sink->ops->round(rs->sink, round, rs->flush != RAM_FLUSH_NONE, err) < 0)
        return -1;
    if (round->zeros)
        page_inline_zeros(rs->out, rs->map, round->zeros);
    if (last && rs->mapped)
        ram_list_bitmaps_out(rs->out, rs->map, rs->mapped, rs->written);
    return end_section(rs, &s, err);
}
