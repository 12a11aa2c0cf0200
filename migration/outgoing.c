#include "migration/outgoing.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "migration/answers.h"
#include "migration/pace.h"
#include "migration/pause.h"
#include "multifd/send_pool.h"
#include "ram/page_inline.h"
#include "ram/ram_save.h"
#include "ram/resident.h"
#include "stream/command.h"

/* Versions of machine types from which a destination understands what we may write. */
#define VERSION_FLUSH_WORD       801
#define VERSION_ZEROS_IN_PACKETS 900
#define VERSION_SWITCHOVER_START 1000

#define RAM_SECTION_ID 1

/* The longest waits for a destination to close when all is sent. */
#define GOODBYE_MS        5000
#define GOODBYE_UNREAD_MS 30000

struct outgoing {
    /* Set before the threads start, read-only after. */
    struct outgoing_config config;
    struct machine *machine;
    unsigned version; /* of the machine type; 0: not QEMU's, everything is understood */
    struct connect_greeting greeting;

    struct channel_group group;
    struct migration_stats stats;
    struct page_counters counters; /* of pages on the main stream */

    /* The running thread's alone. */
    struct stream_out out;
    struct ram_round round;
    struct ram_save save;
    struct pace pace;
    uint32_t ping;       /* the number of the last PING */
    uint64_t stopped_ns; /* when the guest was stopped; 0: it runs */

    struct answers answers;
    struct pause pause;

    /* Under the group's lock. */
    struct outgoing_live live;
    struct migration_meter meter;
    struct channel *main;
    struct page_sink *sink; /* what outgoing_stats() may look at */
    bool cancel_wanted;
    bool leaving; /* all is over but the goodbyes */
};

static bool understands(const struct outgoing *m, unsigned version)
{
    return m->version == 0 || m->version >= version;
}

static struct outgoing_live live_now(struct outgoing *m)
{
    pthread_mutex_lock(&m->group.lock);
    struct outgoing_live live = m->live;
    pthread_mutex_unlock(&m->group.lock);
    return live;
}

/* --- the status ------------------------------------------------------------------------------ */

/* From one status to the next, unless a cancel came first, which is the group's failure then. */
static int move(struct outgoing *m, enum migration_status from, enum migration_status to,
                struct error *err)
{
    int expected = (int)from;

    if (!atomic_compare_exchange_strong(&m->stats.status, &expected, (int)to))
        return channel_group_check(&m->group, err);
    observer_status(&m->config.observer, to);
    return 0;
}

/* The end, where nothing comes in between any more. */
static void arrive_at(struct outgoing *m, enum migration_status status)
{
    atomic_store(&m->stats.status, (int)status);
    observer_status(&m->config.observer, status);
}

/* A cancel counts: whoever asks from now on is told so. */
static void begin_cancelling(struct outgoing *m)
{
    static const enum migration_status cancellable[] = {MIGRATION_SETUP, MIGRATION_ACTIVE,
                                                        MIGRATION_PRE_SWITCHOVER, MIGRATION_DEVICE};
    int expected;

    /* In their order: it may move on meanwhile, and never back. */
    for (size_t i = 0; i < ARRAY_LEN(cancellable); i++) {
        expected = (int)cancellable[i];
        if (atomic_compare_exchange_strong(&m->stats.status, &expected, MIGRATION_CANCELLING))
            return;
    }
}

/* --- the return path ------------------------------------------------------------------------- */

static int open_return_path(struct outgoing *m, struct error *err)
{
    command_out(&m->out, COMMAND_OPEN_RETURN_PATH, NULL, 0);
    command_out_ping(&m->out, ++m->ping);
    return answers_start(&m->answers, &m->group, m->main, err);
}

/*
 * Returns when the destination has read all that was sent so far: what lies in buffers on the way
 * is not moved yet, and a path is only as fast as its end.
 */
static int round_trip(struct outgoing *m, struct error *err)
{
    if (!m->config.return_path)
        return 0;
    command_out_ping(&m->out, ++m->ping);
    if (stream_out_flush(&m->out, err) < 0)
        return -1;
    return answers_await_pong(&m->answers, m->ping, err);
}

/*
 * The destination may take as long as it likes to commit: its connection is watched by the
 * transport. But who asked for a cancel, which comes too late now, does not wait for ever.
 */
static int await_verdict(struct outgoing *m, struct error *err)
{
    if (!m->config.return_path)
        return 0;
    return answers_await_verdict(&m->answers, &m->cancel_wanted, m->config.connect.stall_timeout_ms,
                                 err);
}

/* --- setup ----------------------------------------------------------------------------------- */

static int dial_main(struct outgoing *m, struct error *err)
{
    struct channel *main;

    if (connect_dial(&m->config.connect, &m->group, &main, err) < 0)
        return err_in(err, "main channel");
    pthread_mutex_lock(&m->group.lock);
    m->main = main;
    pthread_mutex_unlock(&m->group.lock);
    return 0;
}

static int greet(struct channel *c, const struct connect_greeting *greeting, size_t id,
                 struct error *err)
{
    const struct outgoing *m = CONTAINER_OF(greeting, struct outgoing, greeting);

    return send_pool_greet(c, &m->config.uuid, id, err);
}

static int make_pool(struct outgoing *m, struct page_sink **ret, struct error *err)
{
    struct channel *channels[MULTIFD_CHANNELS_MAX];

    m->greeting.say = greet;
    if (connect_dial_many(&m->config.connect, &m->group, &m->greeting, channels,
                          m->config.n_channels, err) < 0)
        return -1;
    struct send_pool_config config = {
        .group = &m->group,
        .method = m->config.method,
        .level = m->config.level,
        .zeros_on_main = !understands(m, VERSION_ZEROS_IN_PACKETS),
        .channels = channels,
        .n = m->config.n_channels,
    };
    return send_pool_new(&config, ret, err);
}

static int make_sink(struct outgoing *m, struct error *err)
{
    struct page_sink *sink;
    int rc = m->config.n_channels ? make_pool(m, &sink, err)
                                  : page_inline_new(&m->out, &m->counters, &sink, err);

    if (rc < 0)
        return -1;
    pthread_mutex_lock(&m->group.lock);
    m->sink = sink;
    pthread_mutex_unlock(&m->group.lock);
    return 0;
}

static enum ram_flush flush_style(const struct outgoing *m)
{
    if (m->config.n_channels == 0)
        return RAM_FLUSH_NONE;
    return understands(m, VERSION_FLUSH_WORD) ? RAM_FLUSH_WORD : RAM_FLUSH_SECTION;
}

/*
 * All channels are there, hellos included, before main's first byte. Main itself comes first: under
 * TLS a QEMU takes the first handshake for main's.
 */
static int set_up(struct outgoing *m, struct error *err)
{
    if (dial_main(m, err) < 0)
        return -1;
    if (stream_out_init(&m->out, m->main, err) < 0 || make_sink(m, err) < 0)
        return -1;
    m->save = (struct ram_save){
        .out = &m->out,
        .map = &m->machine->ram,
        .sink = m->sink,
        .flush = flush_style(m),
        .section_id = RAM_SECTION_ID,
    };
    configuration_out(&m->out, &m->machine->config);
    if (m->config.return_path && open_return_path(m, err) < 0)
        return -1;
    out_bytes(&m->out, m->machine->devices.early.data, m->machine->devices.early.len);
    return ram_save_start(&m->save, err);
}

/* --- rounds ---------------------------------------------------------------------------------- */

static void begin_round(struct outgoing *m, struct migration_snapshot *ret)
{
    outgoing_stats(m, ret);
    atomic_store(&m->stats.round_start_pages, ret->normal + ret->zero);
    atomic_store(&m->stats.round_pages, ram_round_dirty_pages(&m->round));
    uint64_t pass = atomic_fetch_add(&m->stats.rounds, 1) + 1;
    if (pass > 1)
        observer_pass(&m->config.observer, pass);
}

/*
 * What a round moved, in the measure that the rest is counted in: whole pages. The first round's
 * zero pages say nothing of the pages that a guest writes: there it is the bytes on the wire.
 */
static uint64_t round_bytes(struct outgoing *m, const struct migration_snapshot *before)
{
    struct migration_snapshot now;

    outgoing_stats(m, &now);
    if (now.rounds == 1)
        return now.wire_bytes - before->wire_bytes;
    return (now.normal + now.zero - before->normal - before->zero) * RAM_PAGE_SIZE;
}

/*
 * What the first round sends: all that exists. The rest is zero, and a destination's memory is so
 * to begin with; where zero pages travel on the main stream, its rules are to clear them, and it
 * is told.
 */
static int mark_first_round(struct outgoing *m, struct error *err)
{
    for (size_t i = 0; i < m->machine->ram.n; i++) {
        struct dirty_bitmap *dirty = &m->round.dirty[i];

        if (ram_resident(&m->machine->ram.blocks[i], dirty, err) < 0)
            return -1;
        for (uint64_t w = 0; m->round.zeros && w < dirty_bitmap_words(dirty); w++) {
            uint64_t bits = atomic_load_explicit(&dirty->words[w], memory_order_relaxed);
            unsigned n = dirty_bitmap_merge(&m->round.zeros[i], w, ~bits);

            atomic_fetch_add_explicit(&m->counters.zero, n, memory_order_relaxed);
        }
    }
    return 0;
}

static int run_round(struct outgoing *m, bool last, struct error *err)
{
    struct migration_snapshot before;
    uint64_t start = clock_ns();

    begin_round(m, &before);
    if (ram_save_round(&m->save, &m->round, last, err) < 0)
        return -1;
    if (last)
        return 0;
    if (round_trip(m, err) < 0)
        return -1;
    pace_round(&m->pace, round_bytes(m, &before), clock_ns() - start);
    return 0;
}

/* Moves what the guest wrote into the next round. *ret_bytes: how much there is to send. */
static int sync_dirty(struct outgoing *m, uint64_t *since_ns, uint64_t *ret_bytes,
                      struct error *err)
{
    struct dirty_source *dirty = m->machine->dirty;
    uint64_t now = clock_ns(), pages = 0;

    if (dirty && dirty->ops->sync(dirty, m->round.dirty, &pages, err) < 0)
        return err_in(err, "dirty log");
    if (now > *since_ns)
        atomic_store(&m->stats.dirty_pages_per_s,
                     (uint64_t)((double)pages * (double)NS_PER_S / (double)(now - *since_ns)));
    *since_ns = now;
    *ret_bytes = ram_round_dirty_pages(&m->round) * RAM_PAGE_SIZE;
    struct outgoing_live live = live_now(m);
    m->pace.downtime_limit_ms = live.downtime_limit_ms;
    m->pace.switchover_bytes_per_s = live.switchover_bytes_per_s;
    atomic_store(&m->stats.expected_downtime_ms, pace_expected_ms(&m->pace, *ret_bytes));
    return 0;
}

static int rounds(struct outgoing *m, struct error *err)
{
    struct dirty_source *dirty = m->machine->dirty;
    uint64_t since = clock_ns(), rest;

    if (dirty && dirty->ops->start(dirty, err) < 0)
        return err_in(err, "dirty log");
    if (mark_first_round(m, err) < 0)
        return -1;
    do {
        if (run_round(m, false, err) < 0 || sync_dirty(m, &since, &rest, err) < 0)
            return -1;
    } while (!pace_time_to_stop(&m->pace, rest));
    return 0;
}

/* --- the end --------------------------------------------------------------------------------- */

/* With the verdict known the wait is a courtesy, without it the destination has yet to read. */
static uint64_t goodbye_ms(const struct outgoing *m)
{
    uint64_t stall_ms = m->config.connect.stall_timeout_ms;
    uint64_t most = m->config.return_path ? GOODBYE_MS : GOODBYE_UNREAD_MS;

    return stall_ms && stall_ms < most ? stall_ms : most;
}

/*
 * Under TLS a destination wants to be told that nothing was cut off, and may have sent what nobody
 * reads: closing on that would make TCP throw away what is still on its way to it. All is sent, and
 * where there is a return path all is well: what goes wrong here changes nothing, and who wants to
 * cancel just leaves.
 */
static void say_goodbye(struct outgoing *m)
{
    struct error ignored;

    pthread_mutex_lock(&m->group.lock);
    m->leaving = true;
    bool stay = !m->cancel_wanted;
    pthread_mutex_unlock(&m->group.lock);
    if (stay && m->sink->ops->finish)
        (void)!m->sink->ops->finish(m->sink, goodbye_ms(m), &ignored);
    if (stay)
        (void)!channel_finish(m->main, goodbye_ms(m), &ignored);
}

static int stop_guest(struct outgoing *m, struct error *err)
{
    const struct machine_ops *ops = m->machine->ops;

    m->stopped_ns = clock_ns();
    if (ops->stop && ops->stop(m->machine, MACHINE_MOVING, err) < 0)
        return err_in(err, "stop the guest");
    atomic_store(&m->stats.stopped_at_bytes, atomic_load(&m->main->bytes_sent));
    atomic_store(&m->stats.stopped, true);
    if (ops->stop)
        observer_guest(&m->config.observer, false);
    return 0;
}

/* Takes that back, where a migration comes to nothing. */
static void release_guest(struct outgoing *m)
{
    const struct machine_ops *ops = m->machine->ops;

    if (!m->stopped_ns || !ops->resume)
        return;
    ops->resume(m->machine, MACHINE_MOVING);
    if (atomic_load(&m->stats.stopped))
        observer_guest(&m->config.observer, true);
}

/* The guest is stopped: to the switch-over, with a pause before it if the user wants one. */
static int enter_device(struct outgoing *m, struct error *err)
{
    if (!m->config.pause_before_switchover)
        return move(m, MIGRATION_ACTIVE, MIGRATION_DEVICE, err);
    if (move(m, MIGRATION_ACTIVE, MIGRATION_PRE_SWITCHOVER, err) < 0)
        return -1;
    /* With a return path somebody reads there. */
    if (pause_wait(&m->pause, &m->group, m->config.return_path ? -1 : m->main->fd, err) < 0)
        return -1;
    return move(m, MIGRATION_PRE_SWITCHOVER, MIGRATION_DEVICE, err);
}

static int switch_over(struct outgoing *m, struct error *err)
{
    const struct machine_ops *ops = m->machine->ops;
    const struct buf *tail = &m->machine->devices.tail;
    uint64_t since = clock_ns(), rest;

    if (stop_guest(m, err) < 0 || enter_device(m, err) < 0)
        return -1;
    if (ops->save && ops->save(m->machine, err) < 0)
        return err_in(err, "the guest's devices");
    if (sync_dirty(m, &since, &rest, err) < 0)
        return -1;
    if (m->version >= VERSION_SWITCHOVER_START)
        command_out(&m->out, COMMAND_SWITCHOVER_START, NULL, 0);
    if (run_round(m, true, err) < 0)
        return -1;
    /* With the device tail the destination has all it needs, and may go on: a cancel from here on
     * could make two guests of one. */
    if (channel_group_settle(&m->group, SETTLED_CANCEL, err) < 0)
        return -1;
    out_bytes(&m->out, tail->data, tail->len);
    if (stream_out_flush(&m->out, err) < 0)
        return -1;
    if (await_verdict(m, err) < 0)
        return -1;
    atomic_store(&m->stats.end_ns, clock_ns());
    atomic_store(&m->stats.downtime_ns, atomic_load(&m->stats.end_ns) - m->stopped_ns);
    say_goodbye(m);
    return 0;
}

static int run(struct outgoing *m, struct error *err)
{
    bool zeros_on_main = m->config.n_channels == 0 || !understands(m, VERSION_ZEROS_IN_PACKETS);

    if (ram_round_init(&m->round, &m->machine->ram, zeros_on_main, m->machine->dirty, err) < 0)
        return -1;
    if (set_up(m, err) < 0)
        return -1;
    atomic_store(&m->stats.setup_done_ns, clock_ns());
    if (move(m, MIGRATION_SETUP, MIGRATION_ACTIVE, err) < 0)
        return -1;
    if (rounds(m, err) < 0)
        return -1;
    return switch_over(m, err);
}

/*
 * Whether the destination has said on main that it will not have us, whichever thread and channel
 * came to feel it first.
 */
static bool is_refused(struct outgoing *m, struct error *err)
{
    struct error refusal;
    uint8_t byte;
    struct iovec iov = {&byte, 1};
    size_t len;

    if (!m->main ||
        channel_recvv(m->main, &iov, 1, 1, CHANNEL_NOWAIT | CHANNEL_PEEK, &len, &refusal) == 0 ||
        !m->main->refused)
        return false;
    *err = refusal;
    return true;
}

/* The first error is the group's; a destination that said why it failed knows best. */
static void final_error(struct outgoing *m, struct error *err)
{
    channel_group_fail(&m->group, err);
    answers_end(&m->answers);
    if ((channel_group_check(&m->group, err) < 0 && err->kind == ERR_CANCELLED) ||
        is_refused(m, err))
        return;
    (void)answers_failed(&m->answers, err);
}

/* The guest runs on as if nothing had been; who watches hears the last of it when that is so. */
static void give_up(struct outgoing *m, struct error *err)
{
    final_error(m, err);
    if (err->kind == ERR_CANCELLED)
        arrive_at(m, MIGRATION_CANCELLING);
    release_guest(m);
}

int outgoing_run(struct outgoing *m, struct error *err)
{
    struct dirty_source *dirty = m->machine->dirty;

    atomic_store(&m->stats.start_ns, clock_ns());
    arrive_at(m, MIGRATION_SETUP);
    int rc = run(m, err);
    if (rc < 0)
        give_up(m, err);
    if (dirty)
        dirty->ops->stop(dirty);
    if (rc < 0)
        atomic_store(&m->stats.end_ns, clock_ns());
    arrive_at(m, rc == 0                      ? MIGRATION_COMPLETED
                 : err->kind == ERR_CANCELLED ? MIGRATION_CANCELLED
                                              : MIGRATION_FAILED);
    return rc;
}

int outgoing_new(const struct outgoing_config *config, struct machine *machine,
                 struct outgoing **ret, struct error *err)
{
    if (config->n_channels > MULTIFD_CHANNELS_MAX)
        return err_set(err, ERR_USAGE, "%u channels, expected 0 to %d", config->n_channels,
                       MULTIFD_CHANNELS_MAX);
    if (config->n_channels > 0 && !transport_many(&config->connect.address))
        return err_set(err, ERR_USAGE, "%s is one connection: it carries --channels 0 only",
                       config->connect.address.text);
    struct outgoing *m = calloc(1, sizeof(*m));
    if (!m)
        return err_sys(err, "memory for a migration");
    m->config = *config;
    m->machine = machine;
    m->version = machine_version(machine->config.machine);
    m->live = config->live;
    atomic_store(&m->stats.total_bytes, machine->ram.total_bytes);
    if (pause_init(&m->pause, err) < 0 ||
        channel_group_init(&m->group, config->live.max_bytes_per_s, err) < 0) {
        pause_done(&m->pause);
        free(m);
        return -1;
    }
    *ret = m;
    return 0;
}

void outgoing_update(struct outgoing *m, const struct outgoing_live *live)
{
    pthread_mutex_lock(&m->group.lock);
    m->live = *live;
    pthread_mutex_unlock(&m->group.lock);
    throttle_set_rate(&m->group.throttle, live->max_bytes_per_s);
}

int outgoing_continue(struct outgoing *m, struct error *err)
{
    enum migration_status now = (enum migration_status)atomic_load(&m->stats.status);

    if (now != MIGRATION_PRE_SWITCHOVER)
        return err_set(err, ERR_USAGE, "the migration's status is %s, expected %s",
                       migration_status_name(now), migration_status_name(MIGRATION_PRE_SWITCHOVER));
    pause_end(&m->pause);
    return 0;
}

void outgoing_cancel(struct outgoing *m)
{
    struct error err;

    err_set(&err, ERR_CANCELLED, "cancelled");
    pthread_mutex_lock(&m->group.lock);
    m->cancel_wanted = true;
    bool leaving = m->leaving;
    pthread_cond_broadcast(&m->group.changed);
    pthread_mutex_unlock(&m->group.lock);
    if (leaving)
        channel_group_close(&m->group);
    else
        channel_group_fail(&m->group, &err);
    if (channel_group_check(&m->group, &err) < 0 && err.kind == ERR_CANCELLED)
        begin_cancelling(m);
}

/* Under the group's lock: all that channels tell. */
static void read_channels(struct outgoing *m, struct migration_snapshot *ret)
{
    uint64_t sent = 0;

    if (m->main) {
        sent = atomic_load_explicit(&m->main->bytes_sent, memory_order_relaxed);
        connect_path(&m->config.connect, m->main, &ret->path);
        ret->path.level = m->config.level;
    }
    ret->wire_bytes = sent;
    migration_snapshot_main(&m->stats, sent, ret);
    ret->normal = atomic_load_explicit(&m->counters.normal, memory_order_relaxed);
    ret->zero = atomic_load_explicit(&m->counters.zero, memory_order_relaxed);
    for (unsigned id = 0; m->sink && id < m->config.n_channels; id++) {
        struct channel_traffic traffic;
        const struct channel_stats *s = send_pool_stats(m->sink, id, &traffic);

        migration_snapshot_add(ret, id, s, &traffic);
    }
    if (m->sink && m->config.n_channels)
        ret->missed_zero_copy = send_pool_missed_zero_copy(m->sink);
}

void outgoing_stats(struct outgoing *m, struct migration_snapshot *ret)
{
    migration_stats_read(&m->stats, ret);
    pthread_mutex_lock(&m->group.lock);
    read_channels(m, ret);
    migration_snapshot_rates(&m->stats, &m->meter, ret);
    pthread_mutex_unlock(&m->group.lock);
    migration_snapshot_remaining(&m->stats, ret);
}

void outgoing_free(struct outgoing *m)
{
    if (!m)
        return;
    if (m->sink)
        m->sink->ops->free(m->sink);
    answers_end(&m->answers);
    connect_close(&m->group, m->main);
    stream_out_done(&m->out);
    ram_round_done(&m->round);
    channel_group_done(&m->group);
    pause_done(&m->pause);
    free(m);
}
