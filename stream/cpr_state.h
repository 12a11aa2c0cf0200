/*
 * stream/cpr_state.h: the small stream in front of a main one by which memory is handed over to
 * another process on this host: names, each with a descriptor. No I/O.
 * Format: QEMU, migration/cpr.c; all integers big-endian:
 *
 *   u32 0x51435052 "QCPR", u32 version 1
 *   for each: u8 1, u32 length of the name with its terminator, the name, s32 id, the descriptor
 *   u8 0
 *
 * The descriptor is an s32, its number, where the process stays the same and runs another program;
 * over a UNIX socket it is one byte that SCM_RIGHTS is sent with.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define CPR_STATE_MAGIC   0x51435052U
#define CPR_STATE_VERSION 1U
#define CPR_NAME_MAX      256   /* bytes, with the terminator */
#define CPR_ENTRIES_MAX   64    /* a machine has a few blocks */
#define CPR_STATE_MAX     32768 /* bytes: no such list is longer */
#define CPR_PASSED_BYTE   ' '

struct cpr_entry {
    char name[CPR_NAME_MAX];
    int32_t id;
    int fd; /* -1: there is none, or somebody has taken it */
};

struct cpr_state {
    struct cpr_entry entries[CPR_ENTRIES_MAX];
    size_t n;
};

enum cpr_carrier {
    CPR_NUMBERED, /* by exec: numbers */
    CPR_PASSED,   /* by a socket: the n-th descriptor that came is the n-th entry's */
};

/* ERR_USAGE: too many, or too long a name. `fd` stays the caller's. */
MUST_USE int cpr_state_add(struct cpr_state *s, const char *name, int fd, struct error *err);
/* Takes the descriptor of that name; -1 where there is none. */
int cpr_state_take(struct cpr_state *s, const char *name);
/* The first name whose descriptor nobody has taken, or NULL. */
const char *cpr_state_left(const struct cpr_state *s);
/* Closes what nobody has taken. */
void cpr_state_close(struct cpr_state *s);

/*
 * In pieces: the head, an entry up to its descriptor, the end. What is CPR_NUMBERED is the first,
 * for each entry the second and its number, and the last, all in one.
 */
MUST_USE int cpr_state_encode_head(struct buf *out, struct error *err);
MUST_USE int cpr_state_encode_entry(const struct cpr_entry *e, struct buf *out, struct error *err);
MUST_USE int cpr_state_encode_end(struct buf *out, struct error *err);
MUST_USE int cpr_state_encode_numbered(const struct cpr_state *s, struct buf *out,
                                       struct error *err);

/*
 * Reads what may come from anyone. Returns 1 with *ret where all is there, and nothing behind it; 0
 * where more has to come; -1 with ERR_PEER. Of CPR_PASSED ones, each entry's fd is its index: the
 * caller puts the descriptor that came there; numbers are not checked.
 */
MUST_USE int cpr_state_decode(const uint8_t *bytes, size_t len, enum cpr_carrier carrier,
                              struct cpr_state *ret, struct error *err);
