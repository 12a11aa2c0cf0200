#include "migration/source_setup.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/fd.h"
#include "migration/cpr_channel.h"
#include "multifd/file_pool.h"
#include "multifd/send_pool.h"
#include "ram/page_inline.h"
#include "stream/command.h"

#define RAM_SECTION_ID 1

/* The shortest limit on silence. A destination says each second that it is alive, but a busy host
 * may delay that. */
#define SILENCE_LEAST_MS UINT64_C(10000)

/* --- channels -------------------------------------------------------------------------------- */

static int reach_main(struct source *m, struct channel **ret, struct error *err)
{
    const struct connect_config *connect = &m->config.connect;

    if (m->plan.has_peer)
        return connect_dial(connect, &m->group, ret, err);
    /* After a cancel, an existing file is left as it is. */
    if (channel_group_check(&m->group, err) < 0 ||
        file_target_open(&connect->address, &m->file, err) < 0)
        return -1;
    return connect_file(connect, m->file.fd, &m->group, ret, err);
}

static int dial_main(struct source *m, struct error *err)
{
    struct channel *main;

    if (reach_main(m, &main, err) < 0)
        return err_in(err, "main channel");
    pthread_mutex_lock(&m->group.lock);
    m->main = main;
    pthread_mutex_unlock(&m->group.lock);
    return 0;
}

static int greet(struct channel *c, const struct connect_greeting *greeting, size_t id,
                 struct error *err)
{
    const struct source *m = CONTAINER_OF(greeting, struct source, greeting);

    return send_pool_greet(c, &m->config.uuid, id, err);
}

static int make_pool(struct source *m, struct page_sink **ret, struct error *err)
{
    struct channel *channels[MULTIFD_CHANNELS_MAX];

    m->greeting = (struct connect_greeting){.say = greet, .main = m->main};
    if (connect_dial_many(&m->config.connect, &m->group, &m->greeting, channels, m->plan.n_workers,
                          err) < 0)
        return -1;
    struct send_pool_config config = {
        .group = &m->group,
        .method = m->config.method,
        .level = m->config.level,
        .places = m->config.places,
        .zeros_on_main = m->plan.zeros_on_main,
        .channels = channels,
        .n = m->plan.n_workers,
    };
    return send_pool_new(&config, ret, err);
}

/* Decides where in the file every page goes, and makes room for all of them. */
static int lay_out(struct source *m, struct error *err)
{
    uint64_t at =
        m->config.connect.address.offset + STREAM_HEAD_MAX + m->machine->devices.early.len;

    m->mapped = calloc(MAX(m->ram.n, (size_t)1), sizeof(*m->mapped));
    if (!m->mapped)
        return err_sys(err, "memory for a file's layout");
    if (ram_bitmaps_new(&m->ram, &m->written, err) < 0)
        return -1;
    return file_target_extend(&m->file, mapped_ram_layout(&m->ram, at, m->mapped), err);
}

/* All channels share one open file: each write says where it goes. */
static int open_writers(struct source *m, int fd, struct channel **ret, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (connect_file(&m->config.connect, fd, &m->group, &ret[i], err) == 0)
            continue;
        while (i > 0)
            channel_group_drop(&m->group, ret[--i]);
        return -1;
    }
    return 0;
}

static int make_file_pool(struct source *m, struct page_sink **ret, struct error *err)
{
    size_t n = MAX(m->plan.n_workers, 1U);
    struct channel *channels[MULTIFD_CHANNELS_MAX];
    AUTO_FD int direct = -1;

    if (lay_out(m, err) < 0)
        return -1;
    if (m->config.direct_io &&
        file_direct_open(m->file.to->file, m->file.fd, O_RDWR, &direct, err) < 0)
        return -1;
    if (open_writers(m, direct >= 0 ? direct : m->file.fd, channels, n, err) < 0)
        return -1;
    struct file_pool_config config = {
        .group = &m->group,
        .mapped = m->mapped,
        .written = m->written,
        .places = m->config.places,
        .channels = channels,
        .n = n,
        .threads = m->plan.n_workers > 0,
    };
    return file_pool_new(&config, ret, err);
}

static int make_inline(struct source *m, struct page_sink **ret, struct error *err)
{
    return page_inline_new(&m->out, ret, err);
}

static int (*const sinks[])(struct source *m, struct page_sink **ret, struct error *err) = {
    [PAGES_ON_MAIN] = make_inline,
    [PAGES_ON_CHANNELS] = make_pool,
    [PAGES_IN_PLACE] = make_file_pool,
};
_Static_assert(ARRAY_LEN(sinks) == PLAN_PAGES_N, "a sink for each way that pages travel");

static int make_sink(struct source *m, struct error *err)
{
    struct page_sink *sink;

    if (sinks[m->plan.pages](m, &sink, err) < 0)
        return -1;
    pthread_mutex_lock(&m->group.lock);
    m->sink = sink;
    pthread_mutex_unlock(&m->group.lock);
    return 0;
}

/* --- memory that is handed over -------------------------------------------------------------- */

/* Lists the descriptors of the blocks that are listed and do not travel. */
static int list_memory(const struct source *m, struct cpr_state *ret, struct error *err)
{
    ret->n = 0;
    for (size_t i = 0; i < m->ram.n; i++) {
        const struct ram_block *b = &m->ram.blocks[i];

        if (b->travel == RAM_IGNORED && b->memory_fd >= 0 &&
            cpr_state_add(ret, b->name, b->memory_fd, err) < 0)
            return -1;
    }
    return 0;
}

/* The destination listens at the main address when this returns. */
static int hand_over(struct source *m, struct error *err)
{
    const struct connect_config *connect = &m->config.connect;
    const struct transport_config config = {
        .connect_timeout_ms = connect->connect_timeout_ms,
        .stall_timeout_ms = connect->stall_timeout_ms,
        .cancel = &m->group.cancel,
    };
    struct cpr_state state;

    if (list_memory(m, &state, err) < 0)
        return -1;
    return cpr_channel_send(&m->config.cpr, &state, &config, err);
}

/* --- the stream's beginning ------------------------------------------------------------------ */

static void say_configuration(struct source *m)
{
    struct configuration config = m->machine->config;

    config.capabilities = m->plan.capabilities;
    configuration_out(&m->out, &config);
}

static int open_return_path(struct source *m, struct error *err)
{
    const struct connect_config *connect = &m->config.connect;
    uint64_t stall_ms = connect->stall_timeout_ms;
    const struct return_reader_limits limits = {
        .answer_ms = connect->answer_timeout_ms,
        .silence_ms = stall_ms ? MAX(stall_ms, SILENCE_LEAST_MS) : 0,
        .hurry_ms = stall_ms,
    };

    command_out(&m->out, COMMAND_OPEN_RETURN_PATH, NULL, 0);
    if (return_reader_start(&m->return_reader, &m->group, m->main, &limits, err) < 0)
        return -1;
    command_out_ping(&m->out, return_reader_ping(&m->return_reader));
    return 0;
}

/*
 * All channels are connected, and their hellos are sent, before main's first byte is written. Main
 * is connected before them: under TLS a QEMU takes the first handshake for main's.
 */
int source_set_up(struct source *m, struct error *err)
{
    if (m->config.hand_over && hand_over(m, err) < 0)
        return err_in(err, "cpr channel");
    if (dial_main(m, err) < 0)
        return -1;
    if (stream_out_init(&m->out, m->main, err) < 0 || make_sink(m, err) < 0)
        return -1;
    m->save = (struct ram_save){
        .out = &m->out,
        .map = &m->ram,
        .sink = m->sink,
        .flush = m->plan.flush,
        .addresses = m->plan.marks_blocks,
        .mapped = m->mapped,
        .written = m->written,
        .section_id = RAM_SECTION_ID,
    };
    say_configuration(m);
    if (m->plan.verdict && open_return_path(m, err) < 0)
        return -1;
    out_bytes(&m->out, m->machine->devices.early.data, m->machine->devices.early.len);
    return ram_save_start(&m->save, err);
}
