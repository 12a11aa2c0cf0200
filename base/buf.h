/*
 * base/buf.h: bytes that grow at the end, up to a limit that the owner sets: what a peer sends
 * must never decide how much memory we take.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct buf {
    uint8_t *data;
    size_t len, room;
    size_t limit; /* bytes; 0 = none, for what we make ourselves */
};

/* Fails with ERR_PEER past the limit, with ERR_SYSTEM when memory is short; *b stays whole. */
MUST_USE int buf_append(struct buf *b, const void *bytes, size_t len, struct error *err);
void buf_done(struct buf *b);
