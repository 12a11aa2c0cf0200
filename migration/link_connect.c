#include <fcntl.h>
#include <stdlib.h>

#include "base/fd.h"
#include "migration/link.h"
#include "multifd/file_pool.h"
#include "multifd/send_pool.h"
#include "ram/checksum.h"
#include "ram/page_inline.h"

/* --- main ------------------------------------------------------------------------------------ */

static int reach_main(struct link *l, struct channel **ret, struct error *err)
{
    const struct connect_config *connect = &l->config.source->connect;

    if (l->config.plan->has_peer)
        return connect_dial(connect, &l->group, ret, err);
    /* After a cancel, an existing file is left as it is. */
    if (channel_group_check(&l->group, err) < 0 ||
        file_target_open(&connect->address, &l->file, err) < 0)
        return -1;
    return connect_file(connect, l->file.fd, &l->group, ret, err);
}

static int dial_main(struct link *l, struct error *err)
{
    struct channel *main;

    if (reach_main(l, &main, err) < 0)
        return err_in(err, "main channel");
    pthread_mutex_lock(&l->group.lock);
    l->main = main;
    pthread_mutex_unlock(&l->group.lock);
    return 0;
}

/* --- a row for each way that pages travel ---------------------------------------------------- */

struct hello {
    struct connect_greeting greeting;
    const struct uuid *uuid;
};

static int greet(struct channel *c, const struct connect_greeting *greeting, size_t id,
                 struct error *err)
{
    return send_pool_greet(c, CONTAINER_OF(greeting, const struct hello, greeting)->uuid, id, err);
}

static int make_pool(struct link *l, struct page_sink **ret, struct error *err)
{
    const struct source_config *source = l->config.source;
    const struct plan *plan = l->config.plan;
    const struct hello hello = {{.say = greet, .main = l->main}, &source->uuid};
    struct channel *channels[MULTIFD_CHANNELS_MAX];

    if (connect_dial_many(&source->connect, &l->group, &hello.greeting, channels, plan->n_workers,
                          err) < 0)
        return -1;
    struct send_pool_config config = {
        .group = &l->group,
        .method = source->method,
        .level = source->level,
        .places = source->places,
        .zeros_on_main = plan->zeros_on_main,
        .channels = channels,
        .n = plan->n_workers,
    };
    return send_pool_new(&config, ret, err);
}

static int make_sums(struct link *l, struct error *err)
{
    const struct ram_map *ram = l->config.ram;

    l->sums = calloc(MAX(ram->n, (size_t)1), sizeof(*l->sums));
    if (!l->sums)
        return err_sys(err, "memory for checksums");
    for (size_t i = 0; i < ram->n; i++) {
        const struct ram_block *b = &ram->blocks[i];

        if (b->travel == RAM_TRAVELS && !(l->sums[i] = checksum_pages_new(b)))
            return err_sys(err, "RAM block '%s': memory for checksums", b->name);
    }
    return 0;
}

/* Decides where in the file every page goes, and makes room for all of them. */
static int lay_out(struct link *l, struct error *err)
{
    const struct ram_map *ram = l->config.ram;
    uint64_t at = l->config.source->connect.address.offset + l->config.head_bytes;

    l->mapped = calloc(MAX(ram->n, (size_t)1), sizeof(*l->mapped));
    if (!l->mapped)
        return err_sys(err, "memory for a file's layout");
    if (ram_bitmaps_new(ram, &l->written, err) < 0)
        return -1;
    if (l->config.source->checksums && make_sums(l, err) < 0)
        return -1;
    return file_target_extend(&l->file, mapped_ram_layout(ram, at, l->mapped), err);
}

/* All channels share one open file: each write says where it goes. */
static int open_writers(struct link *l, int fd, struct channel **ret, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (connect_file(&l->config.source->connect, fd, &l->group, &ret[i], err) == 0)
            continue;
        while (i > 0)
            channel_group_drop(&l->group, ret[--i]);
        return -1;
    }
    return 0;
}

static int make_file_pool(struct link *l, struct page_sink **ret, struct error *err)
{
    unsigned n_workers = l->config.plan->n_workers;
    size_t n = MAX(n_workers, 1U);
    struct channel *channels[MULTIFD_CHANNELS_MAX];
    AUTO_FD int direct = -1;

    if (lay_out(l, err) < 0)
        return -1;
    if (l->config.source->direct_io &&
        file_direct_open(l->file.to->file, l->file.fd, O_RDWR, &direct, err) < 0)
        return -1;
    if (open_writers(l, direct >= 0 ? direct : l->file.fd, channels, n, err) < 0)
        return -1;
    struct file_pool_config config = {
        .group = &l->group,
        .mapped = l->mapped,
        .written = l->written,
        .sums = l->sums,
        .places = l->config.source->places,
        .channels = channels,
        .n = n,
        .threads = n_workers > 0,
    };
    return file_pool_new(&config, ret, err);
}

static int make_inline(struct link *l, struct page_sink **ret, struct error *err)
{
    return page_inline_new(&l->out, ret, err);
}

static int (*const sinks[])(struct link *l, struct page_sink **ret, struct error *err) = {
    [PAGES_ON_MAIN] = make_inline,
    [PAGES_ON_CHANNELS] = make_pool,
    [PAGES_IN_PLACE] = make_file_pool,
};
_Static_assert(ARRAY_LEN(sinks) == PLAN_PAGES_N, "a sink for each way that pages travel");

static int make_sink(struct link *l, struct error *err)
{
    struct page_sink *sink;

    if (sinks[l->config.plan->pages](l, &sink, err) < 0)
        return -1;
    pthread_mutex_lock(&l->group.lock);
    l->sink = sink;
    pthread_mutex_unlock(&l->group.lock);
    return 0;
}

int link_connect(struct link *l, struct error *err)
{
    if (dial_main(l, err) < 0 || stream_out_init(&l->out, l->main, err) < 0)
        return -1;
    return make_sink(l, err);
}
