/*
 * tools/migrate_path.h: where the destination listens and the source connects, as QEMU and ramjet
 * write it: tcp:HOST:PORT, unix:PATH, vsock:CID:PORT. No sockets here.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"
#include "transport/address.h"

#define MIGRATE_URI_MAX 320

/* A monitor there is on this host: by a path, a descriptor, or the loopback. */
bool migrate_is_local(const struct address *monitor);

/* Any port of a host's. */
MUST_USE int migrate_listen_uri(const char *host, char ret[static MIGRATE_URI_MAX],
                                struct error *err);

/*
 * The first address of query-migrate's socket-address. Where that is every interface, it is the
 * loopback for a source that is `local`, and an error for any other: which one it reaches, only
 * the user knows.
 */
MUST_USE int migrate_heard_uri(const json_t *socket_addresses, bool local,
                               char ret[static MIGRATE_URI_MAX], struct error *err);
