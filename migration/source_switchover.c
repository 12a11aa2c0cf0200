#include "migration/source_switchover.h"

#include "base/clock.h"
#include "migration/source_pass.h"
#include "stream/command.h"
#include "stream/description.h"

static void deactivate_memory(struct source *m)
{
    if (ram_set_any_ignored(&m->ram))
        machine_deactivate(m->machine);
}

/* The rate limit ends here: everything that it is for has been sent, and the guest waits for these
 * five bytes. */
static int send_run(struct source *m, struct error *err)
{
    rate_limit_set_rate(&m->link->group.rate_limit, 0);
    command_out(&m->link->out, COMMAND_SWITCHOVER_RUN, NULL, 0);
    return stream_out_flush(&m->link->out, err);
}

/*
 * A destination that has the last byte waits for RUN or DROP, and holds its guest if neither comes.
 * So the farewell sends DROP from just before that byte on. If DROP is sent first, it stands in the
 * byte's place, and the destination refuses the stream.
 */
static int send_tail(struct source *m, struct error *err)
{
    const struct buf *tail = &m->machine->devices.tail;

    out_bytes(&m->link->out, tail->data, tail->len - 1);
    if (stream_out_flush(&m->link->out, err) < 0)
        return -1;
    link_set_asking(m->link, true);
    out_bytes(&m->link->out, tail->data + tail->len - 1, 1);
    return stream_out_flush(&m->link->out, err);
}

/* From here on a cancel is too late, and DROP is not sent any more. A cancel that came before has
 * sent it. */
static int decide(struct source *m, struct error *err)
{
    if (channel_group_settle(&m->link->group, SETTLED_CANCEL, err) < 0)
        return -1;
    link_set_asking(m->link, false);
    return channel_group_check(&m->link->group, err); /* a channel may have failed in between */
}

/* Between two ramjets: the guest runs there once we have said RUN, and we say it once everything is
 * there. */
static int switch_confirmed(struct source *m, struct error *err)
{
    if (send_tail(m, err) < 0 || return_reader_await_ready(&m->link->return_reader, err) < 0 ||
        decide(m, err) < 0)
        return -1;
    deactivate_memory(m);
    m->left = true; /* even if only a part of RUN was written */
    if (send_run(m, err) < 0)
        return -1;
    return return_reader_await_verdict(&m->link->return_reader, &m->link->hurry, err);
}

/*
 * A QEMU lets the guest run when it has read the EOF byte, whatever happens to the description
 * after it, and sends its verdict afterwards.
 */
static int switch_unconfirmed(struct source *m, struct error *err)
{
    const struct buf *tail = &m->machine->devices.tail;
    size_t eof = description_eof(tail);

    if (channel_group_settle(&m->link->group, SETTLED_CANCEL, err) < 0)
        return -1;
    deactivate_memory(m);
    out_bytes(&m->link->out, tail->data, eof);
    if (stream_out_flush(&m->link->out, err) < 0)
        return -1;
    m->left = m->torn = m->plan.has_peer;
    out_bytes(&m->link->out, tail->data + eof, tail->len - eof);
    if (stream_out_flush(&m->link->out, err) < 0)
        return -1;
    m->torn = false;
    return m->plan.verdict
               ? return_reader_await_verdict(&m->link->return_reader, &m->link->hurry, err)
               : 0;
}

int source_switchover(struct source *m, struct error *err)
{
    const struct machine_ops *ops = m->machine->ops;
    size_t json;

    if (ops->save && ops->save(m->machine, err) < 0)
        return err_in(err, "the guest's devices");
    if (!description_ends(&m->machine->devices.tail, &json))
        return err_set(err, ERR_USAGE, SOURCE_NO_DESCRIPTION);
    source_begin_switching(m);
    if (source_sync(m, err) < 0)
        return -1;
    if (m->plan.switchover_start)
        command_out(&m->link->out, COMMAND_SWITCHOVER_START, NULL, 0);
    if (source_round(m, true, err) < 0)
        return -1;
    bool confirmed = m->plan.verdict && return_reader_confirm(&m->link->return_reader);
    if ((confirmed ? switch_confirmed(m, err) : switch_unconfirmed(m, err)) < 0)
        return -1;
    if (link_seal(m->link, err) < 0)
        return -1;
    if (m->config.replace && m->config.replace(m->config.replace_arg, err) < 0)
        return -1;
    atomic_store(&m->stats.end_ns, clock_ns());
    atomic_store(&m->stats.downtime_ns, atomic_load(&m->stats.end_ns) - m->stopped_ns);
    link_finish(m->link);
    return 0;
}
