/*
 * control/qmp_server.h: a VM's monitor: QMP, QEMU's protocol, for several clients at once. What the
 * commands are and do is in the tables that its owner brings (qmp_command.h).
 *
 * Whoever can connect can do all that the commands can: a monitor belongs on a Unix socket, or on
 * a loopback address.
 */
#pragma once

#include "control/qmp_command.h"
#include "transport/transport.h"

#define QMP_CLIENTS_MAX   32 /* at one more, the longest idle client is told so and closed */
#define QMP_ADDRESSES_MAX 8

struct qmp_server;

/* The registry is copied, its tables are not. */
MUST_USE int qmp_server_new(const struct qmp_registry *registry, struct qmp_server **ret,
                            struct error *err);
/*
 * Before the start; listens when it returns. unix:, tcp: and vsock:, QMP_ADDRESSES_MAX of them.
 * `config` says how long a name's address is waited for.
 */
MUST_USE int qmp_server_listen(struct qmp_server *s, const struct address *at,
                               const struct transport_config *config, struct error *err);
/* The address with the real port; NULL behind the last. */
const char *qmp_server_address(const struct qmp_server *s, size_t i);
/* From here on clients are served, by a thread of the server's own. */
MUST_USE int qmp_server_start(struct qmp_server *s, struct error *err);

/*
 * Any thread, any locks but the commands' own callers': sends an event to every client that has
 * negotiated, at once or as soon as it reads. Takes `data`, which may be NULL. A client that has
 * left more than 4 MiB unread is dropped.
 */
void qmp_server_event(struct qmp_server *s, const char *name, json_t *data);

/*
 * Any thread but the server's: returns when every client has been answered what it had asked before
 * this call, as far as it takes that without waiting; after a tenth of a second at the latest, if a
 * command takes so long. NULL is fine.
 */
void qmp_server_flush(struct qmp_server *s);

/*
 * No more commands. Clients get what was said to them, where they take it within a second, and are
 * closed; events still may come, and are dropped. Then the tables may go. NULL is fine.
 */
void qmp_server_stop(struct qmp_server *s);
/* Stops it, and removes the paths of its sockets. NULL is fine. */
void qmp_server_free(struct qmp_server *s);
