/*
 * stream/cpr_state.h: a small stream, sent before the main stream, that hands memory over to
 * another process on this host: names, each with a descriptor. No I/O.
 * Format: QEMU, migration/cpr.c; all integers big-endian:
 *
 *   u32 0x51435052 "QCPR", u32 version 1
 *   for each: u8 1, u32 length of the name with its terminator, the name, s32 id, the descriptor
 *   u8 0
 *
 * If the same process runs another program (exec), the descriptor is its number, an s32. Over a
 * UNIX socket it is one byte, with which the descriptor is sent (SCM_RIGHTS).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define CPR_STATE_MAGIC   0x51435052U
#define CPR_STATE_VERSION 1U
#define CPR_NAME_MAX      256   /* bytes, with the terminator */
#define CPR_ENTRIES_MAX   64    /* a machine has only a few blocks */
#define CPR_STATE_MAX     32768 /* bytes of a whole list; a longer one is refused */
#define CPR_PASSED_BYTE   ' '

struct cpr_entry {
    char name[CPR_NAME_MAX];
    int32_t id;
    int fd; /* -1: none, or it was taken */
};

struct cpr_state {
    struct cpr_entry entries[CPR_ENTRIES_MAX];
    size_t n;
};

enum cpr_carrier {
    CPR_NUMBERED, /* after exec: descriptor numbers */
    CPR_PASSED,   /* over a socket: the n-th descriptor that came belongs to the n-th entry */
};

/* ERR_USAGE: too many entries, or too long a name. `fd` stays the caller's. */
MUST_USE int cpr_state_add(struct cpr_state *s, const char *name, int fd, struct error *err);
/* Takes the descriptor of that name; the caller owns it then. -1 if there is none. */
int cpr_state_take(struct cpr_state *s, const char *name);
/* The first name whose descriptor was not taken, or NULL. */
const char *cpr_state_left(const struct cpr_state *s);
/* Closes the descriptors that were not taken. */
void cpr_state_close(struct cpr_state *s);

/*
 * The pieces of a list: its head, an entry without its descriptor, its end. The last function
 * encodes a whole CPR_NUMBERED list: the head, each entry with its number, the end.
 */
MUST_USE int cpr_state_encode_head(struct buf *out, struct error *err);
MUST_USE int cpr_state_encode_entry(const struct cpr_entry *e, struct buf *out, struct error *err);
MUST_USE int cpr_state_encode_end(struct buf *out, struct error *err);
MUST_USE int cpr_state_encode_numbered(const struct cpr_state *s, struct buf *out,
                                       struct error *err);

/*
 * Reads a list that is not trusted. Returns 1 with *ret if the list is complete and no byte follows
 * it; 0 if more bytes must come; -1 with ERR_PEER. For CPR_PASSED, each entry's fd is its index,
 * and the caller replaces it with the descriptor that came. Numbers are not checked.
 */
MUST_USE int cpr_state_decode(const uint8_t *bytes, size_t len, enum cpr_carrier carrier,
                              struct cpr_state *ret, struct error *err);
