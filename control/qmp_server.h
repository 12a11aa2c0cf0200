/*
 * control/qmp_server.h: a VM's monitor: QMP, QEMU's protocol, for several clients at once. Its
 * commands are in tables that its owner supplies (qmp_command.h).
 *
 * Everybody who can connect can use all commands: a monitor belongs on a Unix socket, or on a
 * loopback address.
 */
#pragma once

#include "control/qmp_command.h"
#include "transport/transport.h"

#define QMP_CLIENTS_MAX   32 /* when one more comes, the longest idle client is told and closed */
#define QMP_ADDRESSES_MAX 8

struct qmp_server;

/* The registry is copied, its tables are not. */
MUST_USE int qmp_server_new(const struct qmp_registry *registry, struct qmp_server **ret,
                            struct error *err);
/*
 * Before the start. The server listens when this returns. Up to QMP_ADDRESSES_MAX addresses, of
 * schemes unix:, tcp: and vsock:. `config` limits how long looking up a name may take.
 */
MUST_USE int qmp_server_listen(struct qmp_server *s, const struct address *at,
                               const struct transport_config *config, struct error *err);
/* The i-th address, with the real port; NULL after the last. */
const char *qmp_server_address(const struct qmp_server *s, size_t i);
/* Starts the server's own thread, which serves the clients. */
MUST_USE int qmp_server_start(struct qmp_server *s, struct error *err);

/*
 * Any thread, also with locks held: sends an event to every client that has negotiated, at once or
 * as soon as the client reads. Takes ownership of `data`, which may be NULL. A client that has left
 * more than 4 MiB unread is dropped.
 */
void qmp_server_event(struct qmp_server *s, const char *name, json_t *data);

/*
 * Any thread but the server's: returns when every command sent before this call has been answered,
 * as far as the clients take the answers without a wait; at the latest after a tenth of a second,
 * if a command takes that long. NULL is fine.
 */
void qmp_server_flush(struct qmp_server *s);

/*
 * Runs no more commands. Clients get what was queued for them, if they read it within a second, and
 * are closed. Later events are allowed, and dropped. After the return the tables may go. NULL is
 * fine.
 */
void qmp_server_stop(struct qmp_server *s);
/* Stops it, and removes the paths of its sockets. NULL is fine. */
void qmp_server_free(struct qmp_server *s);
