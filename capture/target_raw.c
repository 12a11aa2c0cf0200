#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "capture/file_store.h"
#include "capture/partial.h"
#include "capture/raw_names.h"
#include "capture/snapshot_stream.h"
#include "capture/target.h"

struct target_raw {
    struct target base;
    struct partial partial;
    int dir;
    int *fds; /* one per block; -1: not made */
    size_t n;
};

static int make_file(struct target_raw *r, const char *name, int *ret_fd, struct error *err)
{
    *ret_fd = openat(r->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (*ret_fd < 0)
        return err_sys(err, "%s/%s", r->partial.path, name);
    return 0;
}

static int make_block(struct target_raw *r, struct ram_block *b, int *ret_fd, struct error *err)
{
    char name[RAW_NAME_MAX];

    raw_block_name(b->name, name);
    if (make_file(r, name, ret_fd, err) < 0)
        return -1;
    if (ftruncate(*ret_fd, (off_t)b->used_bytes) < 0)
        return err_sys(err, "%s/%s", r->partial.path, name);
    b->store = &file_store;
    b->fd = *ret_fd;
    return ram_block_track(b, err);
}

static int raw_listed(struct target *l, const struct configuration *config,
                      const struct device_state *devices, struct ram_map *ram, struct error *err)
{
    struct target_raw *r = (struct target_raw *)l;

    (void)config;
    (void)devices;
    r->fds = malloc(ram->n * sizeof(*r->fds));
    if (!r->fds)
        return err_sys(err, "memory for a capture");
    for (size_t i = 0; i < ram->n; i++) {
        r->fds[r->n++] = -1;
        if (make_block(r, &ram->blocks[i], &r->fds[i], err) < 0)
            return -1;
    }
    return 0;
}

static int write_stream(struct target_raw *r, const struct configuration *config,
                        const struct ram_map *ram, const struct device_state *devices,
                        struct error *err)
{
    struct configuration plain = *config;
    AUTO_FD int fd = -1;
    uint64_t end;

    plain.capabilities &= ~(uint32_t)STREAM_CAP_MAPPED_RAM; /* of a file that it was read from */
    if (make_file(r, RAW_STREAM, &fd, err) < 0 ||
        snapshot_stream_write(fd, 0, &plain, ram, NULL, devices, &end, err) < 0)
        return -1;
    return partial_settle(&r->partial, fd, err);
}

/* Removes the file of a block whose pages have not come: its memory is elsewhere. */
static int drop_block(struct target_raw *r, const struct ram_block *b, int *fd, struct error *err)
{
    char name[RAW_NAME_MAX];

    fd_close(fd);
    raw_block_name(b->name, name);
    return unlinkat(r->dir, name, 0) < 0 ? err_sys(err, "%s", name) : 0;
}

static int settle_block(struct target_raw *r, const struct ram_block *b, int *fd, struct error *err)
{
    return b->travel == RAM_TRAVELS ? partial_settle(&r->partial, *fd, err)
                                    : drop_block(r, b, fd, err);
}

static int raw_prepare(struct target *l, const struct configuration *config,
                       const struct ram_map *ram, const struct device_state *devices,
                       struct error *err)
{
    struct target_raw *r = (struct target_raw *)l;
    int rc = write_stream(r, config, ram, devices, err);

    for (size_t i = 0; rc == 0 && i < r->n; i++)
        rc = settle_block(r, &ram->blocks[i], &r->fds[i], err);
    if (rc == 0)
        rc = partial_settle(&r->partial, r->dir, err);
    return rc < 0 ? err_in(err, "%s", r->partial.path) : 0;
}

static int raw_commit(struct target *l, struct error *err)
{
    return partial_commit(&((struct target_raw *)l)->partial, err);
}

static void raw_free(struct target *l)
{
    struct target_raw *r = (struct target_raw *)l;

    for (size_t i = 0; i < r->n; i++)
        fd_close(&r->fds[i]);
    free(r->fds);
    fd_close(&r->dir);
    partial_done(&r->partial);
    free(r);
}

static const struct target_ops raw_ops = {
    .bears_postcopy = true,
    .listed = raw_listed,
    .prepare = raw_prepare,
    .commit = raw_commit,
    .keep = raw_commit,
    .free = raw_free,
};

int target_raw_new(const struct target_config *config, struct target **ret, struct error *err)
{
    struct target_raw *r = calloc(1, sizeof(*r));

    if (!r)
        return err_sys(err, "memory for a capture");
    r->base.ops = &raw_ops;
    r->dir = -1;
    if (partial_new(&r->partial, config->path, true, config->force, &r->dir, err) < 0) {
        raw_free(&r->base);
        return -1;
    }
    r->partial.sync = config->sync;
    *ret = &r->base;
    return 0;
}
