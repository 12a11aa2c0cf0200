/*
 * control/qmp_session.h: one client of a monitor, from bytes to answers. No I/O and no threads of
 * its own: who owns the connection feeds it, and sends what it says.
 *
 * Protocol: QEMU, docs/interop/qmp-spec.rst. The client may be anyone. A message may come in any
 * pieces, over any lines. What is no JSON is answered with an error, and the session goes on behind
 * it: behind the brace that closes it; behind the line's end where a string is open there, or
 * where something stands outside all braces; behind a byte 0xff wherever it is.
 */
#pragma once

#include "base/buf.h"
#include "control/qmp_command.h"

#define QMP_COMMAND_MAX ((size_t)1 << 20) /* bytes of one message */
#define QMP_NESTING_MAX 128

struct qmp_session_ops {
    /* What goes to the client. The message stays the session's. */
    void (*say)(void *arg, const json_t *message);
    /* Negotiation is over: from here on the client hears of events. */
    void (*ready)(void *arg);
};

/* All of it the session's own. */
struct qmp_session {
    const struct qmp_registry *registry;
    const struct qmp_session_ops *ops;
    void *arg;
    struct buf message; /* that has begun to come */
    size_t depth;
    bool in_string, escaped;
    bool negotiated;
    bool over; /* nothing more is heard: the client has broken a limit, and was told */
};

void qmp_session_init(struct qmp_session *s, const struct qmp_registry *registry,
                      const struct qmp_session_ops *ops, void *arg);
void qmp_session_done(struct qmp_session *s);

/* The monitor speaks first. */
void qmp_session_greet(struct qmp_session *s);
/* Takes bytes up to the end of a message, which is answered, or all; returns how many. */
size_t qmp_session_feed(struct qmp_session *s, const uint8_t *bytes, size_t len);

/* The version, as the greeting and query-version have it; the caller's. */
json_t *qmp_version(const struct qmp_registry *registry);
