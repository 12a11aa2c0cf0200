/*
 * migration/dialect.h: what a machine type's version means on the wire. No handshake tells the
 * version of the other end: the version in the machine type's name decides. Each end looks it up
 * once, when the name is known; no other code asks for a version. docs/wire.md has the bytes.
 */
#pragma once

#include <stdbool.h>

struct dialect {
    bool flush_word; /* a FLUSH word is the barrier between channels; false: a section's end is */
    bool zeros_in_packets; /* zero pages are listed in multifd packets; false: they go on main */
    bool switchover_start; /* SWITCHOVER_START comes before RAM's last section */
    bool ack_awaited;      /* a source with switchover-ack on waits for the destination's ack */
    bool ack_unasked;   /* the destination sends the ack even where switchover-ack is off there */
    bool clean_tls_end; /* a source ends TLS on every multifd channel with a close_notify */
};

/* `machine` is the versioned name, "pc-q35-10.0". Never NULL; valid until the program ends. */
const struct dialect *dialect_of(const char *machine);
