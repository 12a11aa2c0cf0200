#include "migration/outgoing_switchover.h"

#include "base/clock.h"
#include "migration/outgoing_pass.h"
#include "stream/command.h"
#include "stream/description.h"

/* The longest waits for a destination to close when all is sent. */
#define GOODBYE_MS        5000
#define GOODBYE_UNREAD_MS 30000

/* With the verdict known the wait is a courtesy, without it the destination has yet to read. */
static uint64_t goodbye_ms(const struct outgoing *m)
{
    uint64_t stall_ms = m->config.connect.stall_timeout_ms;
    uint64_t most = m->plan.verdict ? GOODBYE_MS : GOODBYE_UNREAD_MS;

    return stall_ms && stall_ms < most ? stall_ms : most;
}

/*
 * Under TLS a destination wants to be told that nothing was cut off, and may have sent what nobody
 * reads: closing on that would make TCP throw away what is still on its way to it. All is sent, and
 * where there is a return path all is well: what goes wrong here changes nothing, and who wants to
 * cancel just leaves. Without one nobody knows what has arrived, and a cancel that came too late
 * must not cut it off.
 */
static void say_goodbye(struct outgoing *m)
{
    struct error ignored;

    pthread_mutex_lock(&m->group.lock);
    m->leaving = true;
    bool stay = !m->cancel_wanted || !m->plan.verdict;
    pthread_mutex_unlock(&m->group.lock);
    if (stay && m->sink->ops->finish)
        (void)!m->sink->ops->finish(m->sink, goodbye_ms(m), &ignored);
    if (stay)
        (void)!channel_finish(m->main, goodbye_ms(m), &ignored);
}

int outgoing_stop_guest(struct outgoing *m, struct error *err)
{
    const struct machine_ops *ops = m->machine->ops;

    if (m->stopped_ns)
        return 0;
    m->stopped_ns = clock_ns();
    if (ops->stop && ops->stop(m->machine, MACHINE_MOVING, err) < 0)
        return err_in(err, "stop the guest");
    atomic_store(&m->stats.stopped_at_bytes, outgoing_main_bytes(m));
    atomic_store(&m->stats.stopped, true);
    if (ops->stop)
        observer_guest(&m->config.observer, false);
    return 0;
}

/* A guest whose memory another has taken over in the meantime stays as it is: whoever lets it run
 * later is told so. */
void outgoing_release_guest(struct outgoing *m)
{
    const struct machine_ops *ops = m->machine->ops;
    struct error ignored;

    if (!m->stopped_ns || !ops->resume || machine_claim(m->machine, &ignored) < 0)
        return;
    ops->resume(m->machine, MACHINE_MOVING);
    if (atomic_load(&m->stats.stopped))
        observer_guest(&m->config.observer, true);
}

/* The guest is stopped: to the switch-over, with a pause before it if the user wants one. */
static int enter_device(struct outgoing *m, struct error *err)
{
    if (!m->plan.pause)
        return outgoing_move(m, MIGRATION_ACTIVE, MIGRATION_DEVICE, err);
    if (outgoing_move(m, MIGRATION_ACTIVE, MIGRATION_PRE_SWITCHOVER, err) < 0)
        return -1;
    /* With a return path somebody reads there. */
    if (pause_wait(&m->pause, &m->group, m->plan.verdict ? -1 : m->main->fd, err) < 0)
        return -1;
    return outgoing_move(m, MIGRATION_PRE_SWITCHOVER, MIGRATION_DEVICE, err);
}

static void begin_switching(struct outgoing *m)
{
    pthread_mutex_lock(&m->group.lock);
    m->switching = true;
    outgoing_limit(m);
    pthread_mutex_unlock(&m->group.lock);
}

/* --- the last steps -------------------------------------------------------------------------- */

static void yield_memory(struct outgoing *m)
{
    if (ram_set_any_ignored(&m->ram))
        machine_yield(m->machine);
}

/* All bytes that the rate limit is about are sent, and the guest waits for these five. */
static int send_run(struct outgoing *m, struct error *err)
{
    throttle_set_rate(&m->group.throttle, 0);
    command_out(&m->out, COMMAND_SWITCHOVER_RUN, NULL, 0);
    return stream_out_flush(&m->out, err);
}

static void set_asking(struct outgoing *m, bool asking)
{
    pthread_mutex_lock(&m->group.lock);
    m->asking = asking;
    pthread_mutex_unlock(&m->group.lock);
}

void outgoing_farewell(void *outgoing, const struct error *err)
{
    struct outgoing *m = outgoing;
    struct error ignored;

    (void)err;
    if (!m->asking)
        return;
    (void)!command_send(m->main, COMMAND_SWITCHOVER_DROP, CHANNEL_NOWAIT, &ignored);
}

/*
 * A destination that has the last byte waits for RUN or DROP, and holds its guest if it hears
 * neither. So the farewell says DROP from before that byte on: should it come first, it stands in
 * the byte's place and the destination refuses the stream.
 */
static int send_tail(struct outgoing *m, struct error *err)
{
    const struct buf *tail = &m->machine->devices.tail;

    out_bytes(&m->out, tail->data, tail->len - 1);
    if (stream_out_flush(&m->out, err) < 0)
        return -1;
    set_asking(m, true);
    out_bytes(&m->out, tail->data + tail->len - 1, 1);
    return stream_out_flush(&m->out, err);
}

/* From here on a cancel is too late, and nobody says DROP. One that came before has said it. */
static int decide(struct outgoing *m, struct error *err)
{
    if (channel_group_settle(&m->group, SETTLED_CANCEL, err) < 0)
        return -1;
    set_asking(m, false);
    return channel_group_check(&m->group, err); /* a channel may have failed in between */
}

/* Between us: the guest runs there when we have said so, and we say so when all is there. */
static int switch_confirmed(struct outgoing *m, struct error *err)
{
    if (send_tail(m, err) < 0 || answers_await_ready(&m->answers, err) < 0 || decide(m, err) < 0)
        return -1;
    yield_memory(m);
    m->left = true; /* also where a part of the word was written */
    if (send_run(m, err) < 0)
        return -1;
    return answers_await_verdict(&m->answers, &m->cancel_wanted, err);
}

/*
 * A QEMU goes on when it has read the EOF byte, whatever becomes of the description behind it, and
 * says so afterwards.
 */
static int switch_unconfirmed(struct outgoing *m, struct error *err)
{
    const struct buf *tail = &m->machine->devices.tail;
    size_t eof = description_eof(tail);

    if (channel_group_settle(&m->group, SETTLED_CANCEL, err) < 0)
        return -1;
    yield_memory(m);
    out_bytes(&m->out, tail->data, eof);
    if (stream_out_flush(&m->out, err) < 0)
        return -1;
    m->left = m->torn = m->plan.has_peer;
    out_bytes(&m->out, tail->data + eof, tail->len - eof);
    if (stream_out_flush(&m->out, err) < 0)
        return -1;
    m->torn = false;
    return m->plan.verdict ? answers_await_verdict(&m->answers, &m->cancel_wanted, err) : 0;
}

int outgoing_switch_over(struct outgoing *m, struct error *err)
{
    const struct machine_ops *ops = m->machine->ops;
    size_t json;

    if (outgoing_stop_guest(m, err) < 0 || enter_device(m, err) < 0)
        return -1;
    if (ops->save && ops->save(m->machine, err) < 0)
        return err_in(err, "the guest's devices");
    if (!description_ends(&m->machine->devices.tail, &json))
        return err_set(err, ERR_USAGE, OUTGOING_NO_DESCRIPTION);
    begin_switching(m);
    if (outgoing_sync(m, err) < 0)
        return -1;
    if (m->plan.switchover_start)
        command_out(&m->out, COMMAND_SWITCHOVER_START, NULL, 0);
    if (outgoing_round(m, true, err) < 0)
        return -1;
    bool confirmed = m->plan.verdict && answers_confirm(&m->answers);
    if ((confirmed ? switch_confirmed(m, err) : switch_unconfirmed(m, err)) < 0)
        return -1;
    if (m->config.replace && m->config.replace(m->config.replace_arg, err) < 0)
        return -1;
    atomic_store(&m->stats.end_ns, clock_ns());
    atomic_store(&m->stats.downtime_ns, atomic_load(&m->stats.end_ns) - m->stopped_ns);
    say_goodbye(m);
    return 0;
}
