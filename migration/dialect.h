/*
 * migration/dialect.h: what the machine type that a stream names means on the wire. The stream has
 * no handshake that tells the age of the other end: the version in the machine type's name is the
 * contract. Either end looks it up once, when the name is known; nobody else asks for a version.
 * docs/wire.md has the bytes.
 */
#pragma once

#include <stdbool.h>

struct dialect {
    bool flush_word; /* a FLUSH word is the barrier between channels; else a section's end is */
    bool zeros_in_packets; /* zero pages are listed in multifd packets; else they go on main */
    bool switchover_start; /* SWITCHOVER_START stands before RAM's last section */
    bool ack_awaited;      /* a source with switchover-ack on waits for the destination's word, */
    bool ack_unasked;      /* which a destination says even where switchover-ack is off there */
    bool clean_tls_end;    /* a source ends every multifd channel's TLS by a close_notify */
};

/* `machine` is the versioned name, "pc-q35-10.0". Never NULL, and valid for ever. */
const struct dialect *dialect_of(const char *machine);
