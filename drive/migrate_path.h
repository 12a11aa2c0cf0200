/*
 * drive/migrate_path.h: where the destination listens and the source connects, as QEMU and ramjet
 * write it: tcp:HOST:PORT, unix:PATH, vsock:CID:PORT. No sockets here.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"
#include "transport/address.h"

#define MIGRATE_URI_MAX 320

/* Whether that monitor is on this host: its address is a path, a descriptor, or the loopback. */
bool migrate_is_local(const struct address *monitor);

/* The URI to listen at any free port of `host`. */
MUST_USE int migrate_listen_uri(const char *host, char ret[static MIGRATE_URI_MAX],
                                struct error *err);

/*
 * The URI of the first address in query-migrate's socket-address. If that address means every
 * interface, the URI is the loopback for a `local` source; for any other source it is an error,
 * since only the user knows which interface the source reaches.
 */
MUST_USE int migrate_heard_uri(const json_t *socket_addresses, bool local,
                               char ret[static MIGRATE_URI_MAX], struct error *err);
