/*
 * control/qmp_client.h: the client's side of one QMP connection to a VM's monitor, QEMU's or ours.
 * It does not know what the commands mean.
 *
 * Protocol: QEMU, docs/interop/qmp-spec.rst. The monitor may be anyone: what it sends is parsed
 * with limits on size and depth, and nothing waits past the deadline.
 *
 * A client belongs to one thread at a time.
 *
 * Integers are int64_t. A larger one, past 2^63 - 1, is a parse error, and the connection is of no
 * use after it. QEMU sends one only where a user has set it (max-bandwidth).
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/cancel.h"
#include "base/error.h"
#include "transport/address.h"

/*
 * Bytes of one message. QEMU's longest answers (query-qmp-schema) have a few hundred thousand.
 * A hostile message takes up to a hundred times its length in memory once it is parsed.
 */
#define QMP_MESSAGE_MAX ((size_t)4 << 20)

struct qmp_client;

/*
 * Connects, reads the greeting and leaves negotiation mode. The deadline (base/clock.h) is for
 * this and for all that follows, until another one is set. `cancel` outlives the client.
 * Errors name the address: ERR_SYSTEM, with ETIMEDOUT at the deadline; ERR_PEER for a
 * peer that is no monitor; ERR_CANCELLED.
 */
MUST_USE int qmp_client_open(const struct address *to, uint64_t deadline,
                             const struct cancel *cancel, struct qmp_client **ret,
                             struct error *err);
/* The same where libvirt has the monitor of a domain: by its client, control/qmp_virsh.h. No events
 * come. */
MUST_USE int qmp_client_open_domain(const char *domain, uint64_t deadline,
                                    const struct cancel *cancel, struct qmp_client **ret,
                                    struct error *err);
/* Of a domain: whether libvirt is on this host. */
bool qmp_client_is_here(const struct qmp_client *c);
/* NULL is fine. */
void qmp_client_close(struct qmp_client *c);

/* Whether the monitor is a UNIX socket at which a process of our own user listens. */
bool qmp_client_is_ours(const struct qmp_client *c);

/* For all later commands. */
void qmp_client_set_deadline(struct qmp_client *c, uint64_t deadline);

/*
 * Where the monitor's events go: whole messages, which stay the client's. on_event is called by
 * the thread that executes or waits, and must not use the client. NULL, as at the start: events
 * are dropped.
 */
void qmp_client_set_events(struct qmp_client *c,
                           void (*on_event)(void *arg, const char *name, const json_t *message),
                           void *arg);
/*
 * Waits for one event, which on_event gets, until the deadline. ERR_SYSTEM with ETIMEDOUT where
 * none has come; then another call may follow, unless the monitor is in the middle of a message.
 */
MUST_USE int qmp_client_await_event(struct qmp_client *c, struct error *err);

/*
 * Executes one command and waits for its answer; events meanwhile go to on_event. `arguments`, NULL
 * or an object, stay the caller's. *ret is what the monitor returned, the caller's to
 * json_decref(); `ret` may be NULL.
 *
 * A refusal by the monitor is ERR_PEER, "COMMAND: CLASS: description", and other commands may
 * follow; qmp_client_refusal() tells it from all other failures. After any other failure the
 * connection is of no use and every further command fails.
 */
MUST_USE int qmp_client_execute(struct qmp_client *c, const char *command, json_t *arguments,
                                json_t **ret, struct error *err);
/* The class, such as "GenericError", of the refusal of the last command, or NULL. */
const char *qmp_client_refusal(const struct qmp_client *c);
