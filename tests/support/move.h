/*
 * tests/support/move.h: a whole migration between two machines in this process.
 */
#pragma once

#include "migration/machine.h"
#include "migration/outgoing.h"
#include "tls/tls_creds.h"

/* What is said of it; the address and the engine are the move's own. */
struct move {
    const char *label;
    struct outgoing_config config;
    const struct tls_creds *client, *server; /* NULL: no TLS */
};

/* From one to the other, which waits; neither fails. Both are as the migration leaves them. */
void move_machine(const struct move *move, struct machine *from, struct machine *to);
/* The same, to any landing. */
void move_to_landing(const struct move *move, struct machine *from, struct landing *to);
/* A stream or a mapped-ram snapshot, "PATH[,offset=N]", into a machine that waits; as
 * incoming_run(). */
MUST_USE int move_from_file(const char *path, struct machine *to, struct error *err);
/* The same, into any landing, by O_DIRECT or not. */
MUST_USE int move_file_to_landing(const char *path, bool direct_io, struct landing *to,
                                  struct error *err);
