#include "vmm/dirty_software.h"

static struct dirty_software *software_of(struct dirty_source *s)
{
    return CONTAINER_OF(s, struct dirty_software, base);
}

static int software_start(struct dirty_source *s, struct error *err)
{
    struct dirty_software *d = software_of(s);

    (void)err;
    for (uint64_t w = 0; w < dirty_bitmap_words(&d->log); w++)
        dirty_bitmap_take(&d->log, w);
    return 0;
}

static int software_sync(struct dirty_source *s, struct dirty_bitmap *bitmaps, uint64_t *ret_pages,
                         struct error *err)
{
    struct dirty_software *d = software_of(s);
    uint64_t pages = 0;

    (void)err;
    for (uint64_t w = 0; w < dirty_bitmap_words(&d->log); w++)
        pages += dirty_bitmap_merge(&bitmaps[0], w, dirty_bitmap_take(&d->log, w));
    *ret_pages = pages;
    return 0;
}

static void software_stop(struct dirty_source *s)
{
    (void)s; /* setting a bit per write costs too little to be worth stopping */
}

static const struct dirty_source_ops software_ops = {
    .start = software_start,
    .sync = software_sync,
    .stop = software_stop,
};

int dirty_software_init(struct dirty_software *d, uint64_t n_pages, struct error *err)
{
    d->base.ops = &software_ops;
    return dirty_bitmap_init(&d->log, n_pages, err);
}

void dirty_software_done(struct dirty_software *d)
{
    dirty_bitmap_done(&d->log);
}
