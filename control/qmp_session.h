/*
 * control/qmp_session.h: one client of a monitor, from bytes to answers. No I/O and no threads of
 * its own: the owner of the connection feeds it bytes, and sends what it says.
 *
 * Protocol: QEMU, docs/interop/qmp-spec.rst. The client may be anyone. A message may come in any
 * pieces, on one line or on several. Text that is not JSON is answered with an error, and the
 * session goes on where that text ends: after its closing brace; after the end of a line, where a
 * string is open or the text is outside all braces; after a byte 0xff anywhere.
 */
#pragma once

#include "base/buf.h"
#include "control/qmp_command.h"

#define QMP_COMMAND_MAX ((size_t)1 << 20) /* bytes of one message */
#define QMP_NESTING_MAX 128

struct qmp_session_ops {
    /* What goes to the client. The message stays the session's. */
    void (*say)(void *arg, const json_t *message);
    /* Negotiation is over: from now on the client gets events. */
    void (*ready)(void *arg);
};

/* All members are private to the session. */
struct qmp_session {
    const struct qmp_registry *registry;
    const struct qmp_session_ops *ops;
    void *arg;
    struct buf message; /* what has come of the present one */
    size_t depth;
    bool in_string, escaped;
    bool negotiated;
    bool over; /* no more input is taken: the client has broken a limit, and was told */
};

void qmp_session_init(struct qmp_session *s, const struct qmp_registry *registry,
                      const struct qmp_session_ops *ops, void *arg);
void qmp_session_done(struct qmp_session *s);

/* To be called first: in QMP the monitor greets the client. */
void qmp_session_greet(struct qmp_session *s);
/* Takes bytes up to the end of a message, which it answers, or all of them; returns how many. */
size_t qmp_session_feed(struct qmp_session *s, const uint8_t *bytes, size_t len);

/* The version, for the greeting and query-version; the caller owns it. */
json_t *qmp_version(const struct qmp_registry *registry);
