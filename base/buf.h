/*
 * base/buf.h: a buffer that grows at the end, up to a limit that its owner sets. So a peer cannot
 * decide how much memory we take.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct buf {
    uint8_t *data;
    size_t len, room;
    size_t limit; /* bytes; 0 = no limit, for data that we produce ourselves */
};

/* Fails with ERR_PEER above the limit, with ERR_SYSTEM if memory is short; *b is then unchanged. */
MUST_USE int buf_append(struct buf *b, const void *bytes, size_t len, struct error *err);
void buf_done(struct buf *b);
