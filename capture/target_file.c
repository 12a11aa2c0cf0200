#include <fcntl.h>
#include <stdlib.h>

#include "base/fd.h"
#include "capture/file_store.h"
#include "capture/partial.h"
#include "capture/snapshot_stream.h"
#include "capture/target.h"
#include "transport/file.h"

struct target_file {
    struct target base;
    struct partial partial;
    int fd;
    int direct;                /* the same file, bypassing the page cache; -1: not wanted */
    struct mapped_ram *mapped; /* one per block */
};

static int file_listed(struct target *l, const struct configuration *config,
                       const struct device_state *devices, struct ram_map *ram, struct error *err)
{
    struct target_file *f = (struct target_file *)l;

    (void)config;
    f->mapped = calloc(MAX(ram->n, (size_t)1), sizeof(*f->mapped));
    if (!f->mapped)
        return err_sys(err, "memory for the snapshot's layout");
    mapped_ram_layout(ram, STREAM_HEAD_MAX + devices->early.len, f->mapped);
    for (size_t i = 0; i < ram->n; i++) {
        struct ram_block *b = &ram->blocks[i];

        b->store = &file_store;
        b->fd = f->fd;
        b->direct_fd = f->direct;
        b->fd_offset = f->mapped[i].pages_offset;
        if (ram_block_track(b, err) < 0)
            return -1;
    }
    return 0;
}

/* The pages are written already. The stream around them, which begins with the magic, makes the
 * file a snapshot. */
static int file_prepare(struct target *l, const struct configuration *config,
                        const struct ram_map *ram, const struct device_state *devices,
                        struct error *err)
{
    struct target_file *f = (struct target_file *)l;
    struct configuration mapped = *config;

    mapped.capabilities |= STREAM_CAP_MAPPED_RAM;
    if (snapshot_stream_write(f->fd, &mapped, ram, f->mapped, devices, err) < 0 ||
        partial_settle(&f->partial, f->fd, err) < 0)
        return err_in(err, "%s", f->partial.path);
    return 0;
}

static int file_commit(struct target *l, struct error *err)
{
    return partial_commit(&((struct target_file *)l)->partial, err);
}

static void file_free(struct target *l)
{
    struct target_file *f = (struct target_file *)l;

    fd_close(&f->direct);
    fd_close(&f->fd);
    partial_done(&f->partial);
    free(f->mapped);
    free(f);
}

static const struct target_ops file_ops = {
    .listed = file_listed,
    .prepare = file_prepare,
    .commit = file_commit,
    .keep = file_commit,
    .free = file_free,
};

static int open_file(struct target_file *f, const struct target_config *config, struct error *err)
{
    if (partial_new(&f->partial, config->path, false, config->force, &f->fd, err) < 0)
        return -1;
    f->partial.sync = config->sync;
    return config->direct ? file_direct_open(f->partial.path, f->fd, O_RDWR, &f->direct, err) : 0;
}

int target_file_new(const struct target_config *config, struct target **ret, struct error *err)
{
    struct target_file *f = calloc(1, sizeof(*f));

    if (!f)
        return err_sys(err, "memory for a snapshot");
    f->base.ops = &file_ops;
    f->fd = f->direct = -1;
    if (open_file(f, config, err) < 0) {
        file_free(&f->base);
        return -1;
    }
    *ret = &f->base;
    return 0;
}
