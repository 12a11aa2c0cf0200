#include "migration/link.h"

#include <stdlib.h>

#include "ram/checksum_file.h"
#include "stream/command.h"

/* The shortest limit on silence. A destination says each second that it is alive, but a busy host
 * may delay that. */
#define SILENCE_LEAST_MS UINT64_C(10000)

/* The longest waits for the destination to close the connection after everything was sent. */
#define CLOSE_MS        5000
#define CLOSE_UNREAD_MS 30000

/* Tells a destination that waits for RUN that the guest stays here. Under the group's lock. */
static void farewell(void *link, const struct error *err)
{
    struct link *l = link;
    struct error ignored;

    (void)err;
    if (!l->asking)
        return;
    (void)!command_send(l->main, COMMAND_SWITCHOVER_DROP, CHANNEL_NOWAIT, &ignored);
}

int link_new(const struct link_config *config, struct link **ret, struct error *err)
{
    struct link *l = calloc(1, sizeof(*l));

    if (!l)
        return err_sys(err, "memory for a connection");
    l->config = *config;
    l->file = FILE_TARGET_NONE;
    if (channel_group_init(&l->group, config->source->live.max_bytes_per_s, err) < 0) {
        free(l);
        return -1;
    }
    l->group.farewell = farewell;
    l->group.farewell_arg = l;
    *ret = l;
    return 0;
}

int link_open_return_path(struct link *l, struct error *err)
{
    const struct connect_config *connect = &l->config.source->connect;
    uint64_t stall_ms = connect->stall_timeout_ms;
    const struct return_reader_limits limits = {
        .answer_ms = connect->answer_timeout_ms,
        .silence_ms = stall_ms ? MAX(stall_ms, SILENCE_LEAST_MS) : 0,
        .hurry_ms = stall_ms,
    };

    command_out(&l->out, COMMAND_OPEN_RETURN_PATH, NULL, 0);
    if (return_reader_start(&l->return_reader, &l->group, l->main, &limits, err) < 0)
        return -1;
    command_out_ping(&l->out, return_reader_ping(&l->return_reader));
    return 0;
}

void link_set_asking(struct link *l, bool asking)
{
    pthread_mutex_lock(&l->group.lock);
    l->asking = asking;
    pthread_mutex_unlock(&l->group.lock);
}

int link_seal(struct link *l, struct error *err)
{
    const struct ram_map *ram = l->config.ram;
    const struct checksum_stream_file file = {
        .fd = l->file.fd,
        .start = l->config.source->connect.address.offset,
        .end = l->out.offset,
        .map = ram,
        .mapped = l->mapped,
    };

    if (!l->sums)
        return 0;
    struct checksum_pages *pages = calloc(MAX(ram->n, (size_t)1), sizeof(*pages));
    if (!pages)
        return err_sys(err, "memory for checksums");
    for (size_t i = 0; i < ram->n; i++)
        pages[i] = (struct checksum_pages){l->written[i].words, l->sums[i]};
    int rc = checksum_file_write(&file, pages, err);
    free(pages);
    return rc;
}

/* --- its end --------------------------------------------------------------------------------- */

/* Once the verdict is known the wait is a courtesy; without one the destination may still be
 * reading. */
static uint64_t close_ms(const struct link *l)
{
    uint64_t stall_ms = l->config.source->connect.stall_timeout_ms;
    uint64_t most = l->config.plan->verdict ? CLOSE_MS : CLOSE_UNREAD_MS;

    return stall_ms && stall_ms < most ? stall_ms : most;
}

/*
 * Under TLS a destination wants to be told that nothing was cut off. It may also have sent bytes
 * that nobody reads: if we closed now, TCP would throw away what is still on its way to it.
 * Everything has been sent. With a return path the verdict is good by now: a failure here changes
 * nothing, and a cancel skips the wait. Without one nobody knows what has arrived, and a cancel,
 * which came too late, must not cut it off.
 */
void link_finish(struct link *l)
{
    struct error ignored;

    pthread_mutex_lock(&l->group.lock);
    l->leaving = true;
    bool stay = !l->hurry || !l->config.plan->verdict;
    pthread_mutex_unlock(&l->group.lock);
    if (stay && l->sink->ops->finish)
        (void)!l->sink->ops->finish(l->sink, close_ms(l), &ignored);
    if (stay)
        (void)!channel_finish(l->main, close_ms(l), &ignored);
}

/*
 * Whether the destination has said on main that it refuses us, whichever thread and channel noticed
 * it first.
 */
static bool is_refused(struct link *l, struct error *err)
{
    struct error refusal;
    uint8_t byte;
    struct iovec iov = {&byte, 1};
    size_t len;

    if (!l->main ||
        channel_recvv(l->main, &iov, 1, 1, CHANNEL_NOWAIT | CHANNEL_PEEK, &len, &refusal) == 0 ||
        !l->main->refused)
        return false;
    *err = refusal;
    return true;
}

bool link_fail(struct link *l, struct error *err)
{
    file_target_abandon(&l->file);
    channel_group_fail(&l->group, err);
    return_reader_end(&l->return_reader);
    if ((channel_group_check(&l->group, err) < 0 && err->kind == ERR_CANCELLED) ||
        is_refused(l, err))
        return false;
    return return_reader_failed(&l->return_reader, err);
}

bool link_cancel(struct link *l)
{
    struct error err;

    err_set(&err, ERR_CANCELLED, "cancelled");
    pthread_mutex_lock(&l->group.lock);
    l->hurry = true;
    bool leaving = l->leaving;
    pthread_cond_broadcast(&l->group.changed);
    pthread_mutex_unlock(&l->group.lock);
    if (leaving)
        channel_group_close(&l->group);
    else
        channel_group_fail(&l->group, &err);
    if (channel_group_check(&l->group, &err) < 0 && err.kind == ERR_CANCELLED)
        return true;
    rate_limit_set_rate(&l->group.rate_limit, 0); /* too late to cancel: end it soon */
    return false;
}

void link_unlock(const struct link *l)
{
    file_target_unlock(&l->file);
}

static void free_sums(struct link *l)
{
    for (size_t i = 0; l->sums && i < l->config.ram->n; i++)
        free(UNQUALIFIED(l->sums[i]));
    free(l->sums);
}

void link_free(struct link *l)
{
    if (!l)
        return;
    if (l->sink)
        l->sink->ops->free(l->sink);
    return_reader_end(&l->return_reader);
    channel_group_drop(&l->group, l->main);
    file_target_done(&l->file);
    free(l->mapped);
    ram_bitmaps_free(l->written, l->config.ram->n);
    free_sums(l);
    stream_out_done(&l->out);
    channel_group_done(&l->group);
    free(l);
}

/* --- statistics ------------------------------------------------------------------------------ */

/* The page counters of main's thread; NULL: other threads send the pages. */
static const struct channel_stats *main_pages(const struct link *l, struct channel_traffic *ret)
{
    *ret = (struct channel_traffic){0};
    if (!l->sink || l->sink->n_channels > 0)
        return NULL;
    return l->sink->ops->stats(l->sink, 0, ret);
}

uint64_t link_main_bytes(const struct link *l)
{
    struct channel_traffic beside;

    main_pages(l, &beside);
    return atomic_load_explicit(&l->main->bytes_sent, memory_order_relaxed) + beside.bytes;
}

/* Reads how many pages main's thread has sent. */
static void read_main_pages(const struct link *l, struct migration_snapshot *ret)
{
    struct channel_traffic ignored;
    const struct channel_stats *s = main_pages(l, &ignored);

    if (!s)
        return;
    ret->normal += atomic_load_explicit(&s->normal, memory_order_relaxed);
    ret->zero += atomic_load_explicit(&s->zero, memory_order_relaxed);
}

/* Under the group's lock. */
static void read_channels(const struct link *l, struct migration_snapshot *ret)
{
    for (unsigned id = 0; id < l->sink->n_channels; id++) {
        struct channel_traffic traffic;
        const struct channel_stats *s = l->sink->ops->stats(l->sink, id, &traffic);

        migration_snapshot_add(ret, id, s, &traffic);
    }
    ret->missed_zero_copy = atomic_load_explicit(&l->sink->missed_zero_copy, memory_order_relaxed);
}

void link_snapshot(struct link *l, const struct migration_stats *stats,
                   struct migration_snapshot *ret)
{
    pthread_mutex_lock(&l->group.lock);
    if (l->main) {
        ret->wire_bytes = link_main_bytes(l);
        connect_path(&l->config.source->connect, l->main, &ret->path);
        ret->path.level = l->config.source->level;
    }
    migration_snapshot_main(stats, ret->wire_bytes, ret);
    read_main_pages(l, ret);
    if (l->sink)
        read_channels(l, ret);
    pthread_mutex_unlock(&l->group.lock);
}
