/*
 * tests/support/move.h: a whole migration between two machines in this process.
 */
#pragma once

#include "migration/machine.h"
#include "migration/outgoing.h"
#include "tls/tls_creds.h"

/* What the test chooses; the address and the engine are chosen here. */
struct move {
    const char *label;
    struct outgoing_config config;
    const struct tls_creds *client, *server; /* NULL: no TLS */
};

/* Migrates `from` into `to`, which waits. Fails the test if either end fails. Both stay as the
 * migration leaves them. */
void move_machine(const struct move *move, struct machine *from, struct machine *to);
/* The same into any landing. */
void move_to_landing(const struct move *move, struct machine *from, struct landing *to);
/* Loads a stream or a mapped-ram snapshot, "PATH[,offset=N]", into a machine that waits. Fails as
 * incoming_run() does. */
MUST_USE int move_from_file(const char *path, struct machine *to, struct error *err);
/* The same into any landing, with O_DIRECT or without. */
MUST_USE int move_file_to_landing(const char *path, bool direct_io, struct landing *to,
                                  struct error *err);
