#include "ram/ram_save.h"

#include "base/macros.h"
#include "ram/page_inline.h"
#include "ram/ram_format.h"

static struct ram_save *save_of(struct section_saver *s)
{
    return CONTAINER_OF(s, struct ram_save, base);
}

static void body_end_out(const struct ram_save *rs, struct stream_out *out)
{
    if (rs->flush == RAM_FLUSH_WORD)
        out_u64(out, RAM_RECORD_FLUSH);
    out_u64(out, RAM_RECORD_EOS);
}

static int ram_start(struct section_saver *s, struct stream_out *out, struct error *err)
{
    struct ram_save *rs = save_of(s);

    ram_list_out(out, rs->map, rs->addresses, rs->mapped);
    if (rs->sink->ops->round(rs->sink, NULL, rs->flush != RAM_FLUSH_NONE, err) < 0)
        return err_in(err, "RAM setup");
    body_end_out(rs, out);
    return 0;
}

static int pages_out(struct ram_save *rs, struct stream_out *out, struct error *err)
{
    ram_round_restart(rs->round);
    if (rs->sink->ops->round(rs->sink, rs->round, rs->flush != RAM_FLUSH_NONE, err) < 0)
        return -1;
    if (rs->round->zeros)
        page_inline_zeros(out, rs->map, rs->round->zeros);
    return 0;
}

static int ram_part(struct section_saver *s, struct stream_out *out, struct error *err)
{
    struct ram_save *rs = save_of(s);

    if (pages_out(rs, out, err) < 0)
        return -1;
    body_end_out(rs, out);
    return 0;
}

static int ram_end(struct section_saver *s, struct stream_out *out, struct error *err)
{
    struct ram_save *rs = save_of(s);

    if (pages_out(rs, out, err) < 0)
        return -1;
    if (rs->mapped)
        ram_list_bitmaps_out(out, rs->map, rs->mapped, rs->written);
    body_end_out(rs, out);
    return 0;
}

static uint64_t ram_pending(const struct section_saver *s)
{
    const struct ram_save *rs = CONTAINER_OF(s, const struct ram_save, base);

    return ram_round_dirty_pages(rs->round) * RAM_PAGE_SIZE;
}

const struct section_saver_ops ram_saver_ops = {
    .start = ram_start,
    .part = ram_part,
    .end = ram_end,
    .pending = ram_pending,
};
