#include "vmm/dirty_software.h"

static struct dirty_software *told_of(struct dirty_source *s)
{
    return CONTAINER_OF(s, struct dirty_software, base);
}

static int told_start(struct dirty_source *s, struct error *err)
{
    struct dirty_software *d = told_of(s);

    (void)err;
    for (uint64_t w = 0; w < dirty_bitmap_words(&d->log); w++)
        dirty_bitmap_take(&d->log, w);
    return 0;
}

static int told_sync(struct dirty_source *s, struct dirty_bitmap *bitmaps, uint64_t *ret_pages,
                     struct error *err)
{
    struct dirty_software *d = told_of(s);
    uint64_t pages = 0;

    (void)err;
    for (uint64_t w = 0; w < dirty_bitmap_words(&d->log); w++)
        pages += dirty_bitmap_merge(&bitmaps[0], w, dirty_bitmap_take(&d->log, w));
    *ret_pages = pages;
    return 0;
}

static void told_stop(struct dirty_source *s)
{
    (void)s; /* setting a bit per write costs too little to be worth stopping */
}

static const struct dirty_source_ops told_ops = {
    .start = told_start,
    .sync = told_sync,
    .stop = told_stop,
};

int dirty_software_init(struct dirty_software *d, uint64_t n_pages, struct error *err)
{
    d->base.ops = &told_ops;
    return dirty_bitmap_init(&d->log, n_pages, err);
}

void dirty_software_done(struct dirty_software *d)
{
    dirty_bitmap_done(&d->log);
}
