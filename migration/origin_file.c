#include <fcntl.h>
#include <stdlib.h>

#include "base/fd.h"
#include "migration/origin.h"
#include "ram/checksum_file.h"
#include "ram/mapped_file.h"
#include "transport/file.h"

struct origin_file {
    struct origin base;
    struct origin_file_config config;
    int fd;        /* -1: not open yet */
    int direct_fd; /* the same file, past the page cache; -1: none */
    uint64_t bytes;
    const struct ram_load *load; /* of the stream that is read */
    struct checksums checksums;
};

static int origin_file_open(struct origin *o, struct error *err)
{
    struct origin_file *f = CONTAINER_OF(o, struct origin_file, base);
    const struct address *from = &f->config.connect->address;

    if (file_source_open(from, &f->fd, &f->bytes, err) < 0)
        return -1;
    o->name = from->file;
    if (f->config.checksums &&
        checksums_open(f->fd, f->bytes, from->offset, &f->checksums, err) < 0)
        return err_in(err, "%s", from->file);
    return f->config.direct_io ? file_direct_open(from->file, f->fd, O_RDONLY, &f->direct_fd, err)
                               : 0;
}

static const char *origin_file_address(const struct origin *o)
{
    return CONTAINER_OF(o, const struct origin_file, base)->config.connect->address.text;
}

static int origin_file_await_main(struct origin *o, struct channel **ret, struct error *err)
{
    struct origin_file *f = CONTAINER_OF(o, struct origin_file, base);

    return connect_file(f->config.connect, f->fd, f->config.group, ret, err);
}

static void origin_file_begin(struct origin *o, struct main_stream *ms, struct ram_load *load)
{
    struct origin_file *f = CONTAINER_OF(o, struct origin_file, base);

    stream_in_seek(ms->in, f->config.connect->address.offset);
    ms->padded = true;
    load->file_bytes = f->bytes;
    f->load = load;
}

static int load_pages(struct origin_file *f, const struct mapped_ram *list,
                      const struct ram_map *map, struct file_mapping *mapping, struct error *err)
{
    const struct mapped_file file = {.fd = f->fd, .direct_fd = f->direct_fd, .blocks = list};

    return mapped_file_load(&file, map, f->config.direct_io ? NULL : mapping, f->config.n_threads,
                            &f->config.group->cancel, err);
}

static int origin_file_load_pages(struct origin *o, const struct mapped_ram *list,
                                  const struct ram_map *map, struct file_mapping *mapping,
                                  struct error *err)
{
    struct origin_file *f = CONTAINER_OF(o, struct origin_file, base);
    uint64_t start = f->config.connect->address.offset;
    int rc = 0;

    if (f->config.checksums)
        rc = checksums_apply(f->fd, f->bytes, start, map, list, &f->checksums, err);
    if (rc == 0)
        rc = load_pages(f, list, map, mapping, err);
    for (size_t i = 0; i < map->n; i++)
        map->blocks[i].checksums = NULL;
    return rc;
}

/* Memory that was handed over, or lies in files of its own, has no pages in the stream. */
static bool has_pages_to_come(const struct ram_map *map)
{
    for (size_t i = 0; i < map->n; i++) {
        if (map->blocks[i].travel == RAM_TRAVELS)
            return true;
    }
    return false;
}

/* One connection of several may have been recorded. Where blocks can be left out, all may be. */
static int origin_file_check_complete(struct origin *o, bool expected, struct error *err)
{
    const struct ram_load *load = CONTAINER_OF(o, struct origin_file, base)->load;

    if (!expected || load->from_file || load->addresses || !has_pages_to_come(load->map))
        return 0;
    return err_set(err, ERR_PEER,
                   "a stream without its pages: they went over channels, or are in files of their "
                   "own");
}

/* Requested directly: it must also work while memory is taken over, when a failure of the group has
 * no effect any more. */
static void origin_file_cancel(struct origin *o)
{
    cancel_request(&CONTAINER_OF(o, struct origin_file, base)->config.group->cancel);
}

static void origin_file_free(struct origin *o)
{
    struct origin_file *f = CONTAINER_OF(o, struct origin_file, base);

    fd_close(&f->fd);
    fd_close(&f->direct_fd);
    checksums_done(&f->checksums);
    free(f);
}

static const struct origin_ops file_ops = {
    .open = origin_file_open,
    .address = origin_file_address,
    .await_main = origin_file_await_main,
    .begin = origin_file_begin,
    .load_pages = origin_file_load_pages,
    .check_complete = origin_file_check_complete,
    .cancel = origin_file_cancel,
    .free = origin_file_free,
};

int origin_file_new(const struct origin_file_config *config, struct origin **ret, struct error *err)
{
    struct origin_file *f = calloc(1, sizeof(*f));

    if (!f)
        return err_sys(err, "memory for a file's reader");
    f->base.ops = &file_ops;
    f->config = *config;
    f->fd = f->direct_fd = -1;
    *ret = &f->base;
    return 0;
}
