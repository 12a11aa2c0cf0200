/*
 * tests/support/move.h: a whole migration between two machines in this process.
 */
#pragma once

#include "migration/machine.h"
#include "migration/source.h"
#include "tls/tls_creds.h"

/* What the test chooses; the address and the engine are chosen here. */
struct move {
    const char *label;
    struct source_config config;
    const struct tls_creds *client, *server; /* NULL: no TLS */
};

/* Migrates `from` into `to`, which waits. Fails the test if either end fails. Both stay as the
 * migration leaves them. */
void move_machine(const struct move *move, struct machine *from, struct machine *to);
/* The same into any target. */
void move_to_target(const struct move *move, struct machine *from, struct target *to);
/* Loads a stream or a mapped-ram snapshot, "PATH[,offset=N]", into a machine that waits. Fails as
 * destination_run() does. */
MUST_USE int move_from_file(const char *path, struct machine *to, struct error *err);
/* The same into any target, with O_DIRECT or without. */
MUST_USE int move_file_to_target(const char *path, bool direct_io, struct target *to,
                                 struct error *err);
