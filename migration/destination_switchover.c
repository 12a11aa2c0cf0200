#include "migration/destination_switchover.h"

/* The wait for a command that a source may have sent before it was lost. */
#define LAST_WORD_MS 1000

static int prepare(struct destination *m, struct error *err)
{
    return target_prepare(m->target, &m->stream.config, &m->ram, &m->stream.devices, err);
}

/*
 * The source has not answered. It may have said RUN: then its guest stays stopped for good, and we
 * must not lose ours. Or it may never have heard us: then its guest runs, and ours must not run
 * until the user says so.
 */
static int hold_guest(struct destination *m, struct error *err)
{
    struct error why;

    m->holds_guest = true;
    if (m->target->ops->keep && m->target->ops->keep(m->target, &why) < 0)
        return err_in(err, "%s; the source was lost before it confirmed the switch-over", why.text);
    return err_in(err, "the source was lost before it confirmed the switch-over: everything has "
                       "arrived, but the source may have gone on with its guest");
}

static int obey(const struct command *c, struct error *err)
{
    if (c->id == COMMAND_SWITCHOVER_RUN)
        return 0;
    if (c->id == COMMAND_SWITCHOVER_DROP)
        return err_set(err, ERR_PEER, MAIN_STREAM_DROPPED);
    return err_set(err, ERR_PEER, "command %s: expected SWITCHOVER_RUN or SWITCHOVER_DROP",
                   command_name(c->id));
}

/* Only the source knows whether the guest may run here: asks it, and waits for its answer. */
static int await_run(struct destination *m, struct error *err)
{
    struct error ignored;
    struct command c;
    size_t len;

    /* A source that was not reached will not answer, but may have sent a word before. */
    bool asked = return_writer_send(&m->return_writer, RETURN_SWITCHOVER_READY, 0, &ignored) == 0;
    atomic_store(&m->main->stall_timeout_ms,
                 asked ? m->config.connect.answer_timeout_ms : LAST_WORD_MS);
    const uint8_t *type = stream_in_peek(&m->in, COMMAND_HEAD_LEN, &len);
    if (channel_group_check(&m->group, err) < 0) /* cancelled: no guest to hold */
        return -1;
    if (!type) {
        (void)!stream_in_check(&m->in, err);
        return hold_guest(m, err);
    }
    if (*type != STREAM_COMMAND)
        return err_set(err, ERR_PEER, "element 0x%02x, expected SWITCHOVER_RUN", *type);
    in_u8(&m->in);
    command_in(&m->in, &c);
    return stream_in_check(&m->in, err) < 0 ? -1 : obey(&c, err);
}

static int refuse(struct destination *m, const struct error *err)
{
    struct error ignored;

    (void)!return_writer_send(&m->return_writer, RETURN_SHUT, return_writer_verdict(err), &ignored);
    return -1;
}

/*
 * From here on only what is done here decides whether the migration succeeds. A connection that
 * fails, or a cancel, comes too late, and must not tell the source otherwise. Where the source
 * confirms the switch-over, a cancel still counts until it has confirmed.
 */
int destination_switch_over(struct destination *m, struct error *err)
{
    struct error ignored;

    if (channel_group_settle(&m->group, m->stream.confirmed ? SETTLED_FAILURE : SETTLED_ALL, err) <
        0)
        return -1;
    atomic_store(&m->stats.status, MIGRATION_DEVICE);
    if (prepare(m, err) < 0 || (m->stream.confirmed && await_run(m, err) < 0))
        return refuse(m, err);
    if (channel_group_settle(&m->group, SETTLED_ALL, err) < 0)
        return -1;
    if (target_commit(m->target, err) < 0)
        return refuse(m, err);
    /* It is done, whether or not the source is still there to hear of it. */
    (void)!return_writer_send(&m->return_writer, RETURN_SHUT, 0, &ignored);
    return 0;
}
