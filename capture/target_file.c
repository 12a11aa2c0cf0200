#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "capture/file_store.h"
#include "capture/partial.h"
#include "capture/snapshot_name.h"
#include "capture/snapshot_stream.h"
#include "capture/target.h"
#include "ram/checksum_file.h"
#include "transport/file.h"

/* Where a snapshot goes whose name is chosen when it is whole. */
struct naming {
    char folder[PATH_MAX]; /* "": the name was given */
    struct timespec at;
    struct configuration vm;
};

struct target_file {
    struct target base;
    struct naming naming;
    bool named; /* the partial has its final name */
    struct partial partial;
    bool sync, wants_direct;
    int fd;
    int direct;                /* the same file, bypassing the page cache; -1: not wanted */
    bool checksums;            /* are written */
    struct mapped_ram *mapped; /* one per block */
    struct buf head;           /* what precedes the stream */
};

/* --- the file -------------------------------------------------------------------------------- */

static int open_file(struct target_file *f, const char *path, bool force, struct error *err)
{
    if (partial_new(&f->partial, path, false, force, &f->fd, err) < 0)
        return -1;
    f->partial.sync = f->sync;
    return f->wants_direct ? file_direct_open(f->partial.path, f->fd, O_RDWR, &f->direct, err) : 0;
}

/* What a snapshot in a folder is called while it is not whole. */
#define HIDDEN ".incoming"

static int open_in_folder(struct target_file *f, struct error *err)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/" HIDDEN, f->naming.folder) >= (int)sizeof(path))
        return err_set(err, ERR_USAGE, "folder '%.100s': the path is too long", f->naming.folder);
    return open_file(f, path, false, err);
}

#define SAME_TIME_MAX 1000 /* snapshots of one VM in one millisecond */

/* Another snapshot may have the name: then the next number is tried. */
static int commit_in_folder(struct target_file *f, struct error *err)
{
    char path[PATH_MAX + SNAPSHOT_NAME_LEN], name[SNAPSHOT_NAME_LEN];

    for (unsigned number = 1;; number++) {
        snapshot_name(&f->naming.at, &f->naming.vm, number, name);
        snprintf(path, sizeof(path), "%s/%s", f->naming.folder, name);
        if (partial_rename(&f->partial, path, err) < 0)
            return -1;
        if (partial_commit(&f->partial, err) == 0)
            return 0;
        if (err->sys != EEXIST || number == SAME_TIME_MAX)
            return -1;
    }
}

/* --- the target ------------------------------------------------------------------------------ */

static int file_listed(struct target *l, const struct configuration *config,
                       const struct device_state *devices, struct ram_map *ram, struct error *err)
{
    struct target_file *f = (struct target_file *)l;

    (void)config;
    if (f->naming.folder[0] && open_in_folder(f, err) < 0)
        return -1;
    f->mapped = calloc(MAX(ram->n, (size_t)1), sizeof(*f->mapped));
    if (!f->mapped)
        return err_sys(err, "memory for the snapshot's layout");
    mapped_ram_layout(ram, f->head.len + STREAM_HEAD_MAX + devices->early.len, f->mapped);
    for (size_t i = 0; i < ram->n; i++) {
        struct ram_block *b = &ram->blocks[i];

        b->store = &file_store;
        b->fd = f->fd;
        b->direct_fd = f->direct;
        b->fd_offset = f->mapped[i].pages_offset;
        if (ram_block_track(b, err) < 0)
            return -1;
        if (f->checksums && !(b->page_sums = checksum_pages_new(b)))
            return err_sys(err, "RAM block '%s': memory for checksums", b->name);
    }
    return 0;
}

static int write_head(const struct target_file *f, struct error *err)
{
    return fd_pwrite_all(f->fd, f->head.data, f->head.len, 0) < 0 ? err_sys(err, "write") : 0;
}

static int write_checksums(struct target_file *f, const struct ram_map *ram, uint64_t end,
                           struct error *err)
{
    const struct checksum_stream_file file = {
        .fd = f->fd, .start = f->head.len, .end = end, .map = ram, .mapped = f->mapped};
    struct checksum_pages *pages = calloc(MAX(ram->n, (size_t)1), sizeof(*pages));

    if (!pages)
        return err_sys(err, "memory for checksums");
    for (size_t i = 0; i < ram->n; i++)
        pages[i] = (struct checksum_pages){ram->blocks[i].present, ram->blocks[i].page_sums};
    int rc = checksum_file_write(&file, pages, err);
    free(pages);
    return rc;
}

/* The pages are written already. The stream around them, which begins with the magic, makes the
 * file a snapshot. */
static int file_prepare(struct target *l, const struct configuration *config,
                        const struct ram_map *ram, const struct device_state *devices,
                        struct error *err)
{
    struct target_file *f = (struct target_file *)l;
    struct configuration mapped = *config;
    uint64_t end;

    f->naming.vm = *config;
    clock_gettime(CLOCK_REALTIME, &f->naming.at);
    mapped.capabilities |= STREAM_CAP_MAPPED_RAM;
    if (snapshot_stream_write(f->fd, f->head.len, &mapped, ram, f->mapped, devices, &end, err) <
            0 ||
        write_head(f, err) < 0 || (f->checksums && write_checksums(f, ram, end, err) < 0) ||
        partial_settle(&f->partial, f->fd, err) < 0)
        return err_in(err, "%s", f->partial.path);
    return 0;
}

static int file_commit(struct target *l, struct error *err)
{
    struct target_file *f = (struct target_file *)l;
    int rc = f->naming.folder[0] ? commit_in_folder(f, err) : partial_commit(&f->partial, err);

    f->named = rc == 0;
    return rc;
}

static void file_free(struct target *l)
{
    struct target_file *f = (struct target_file *)l;

    fd_close(&f->direct);
    fd_close(&f->fd);
    partial_done(&f->partial);
    buf_done(&f->head);
    free(f->mapped);
    free(f);
}

static const struct target_ops file_ops = {
    .bears_postcopy = true,
    .listed = file_listed,
    .prepare = file_prepare,
    .commit = file_commit,
    .keep = file_commit,
    .free = file_free,
};

static int prepare_folder(struct target_file *f, const char *path, struct error *err)
{
    if (snprintf(f->naming.folder, sizeof(f->naming.folder), "%s", path) >= PATH_MAX)
        return err_set(err, ERR_USAGE, "folder '%.100s': the path is too long", path);
    return 0;
}

int target_file_new(const struct target_config *config, struct target **ret, struct error *err)
{
    struct target_file *f = calloc(1, sizeof(*f));

    if (!f)
        return err_sys(err, "memory for a snapshot");
    f->base.ops = &file_ops;
    f->fd = f->direct = -1;
    f->checksums = config->checksums;
    f->sync = config->sync;
    f->wants_direct = config->direct;
    if (config->head && buf_append(&f->head, config->head->data, config->head->len, err) < 0) {
        file_free(&f->base);
        return -1;
    }
    if (config->folder ? prepare_folder(f, config->path, err) < 0
                       : open_file(f, config->path, config->force, err) < 0) {
        file_free(&f->base);
        return -1;
    }
    *ret = &f->base;
    return 0;
}

const char *target_file_path(const struct target *l)
{
    const struct target_file *f = (const struct target_file *)l;

    return f->named || !f->naming.folder[0] ? f->partial.path : "";
}

int target_folder_check(const char *path, struct error *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_sys(err, "folder %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_USAGE, "folder %.200s: it is no folder", path);
    if (access(path, W_OK | X_OK) < 0)
        return err_sys(err, "folder %s", path);
    return 0;
}
