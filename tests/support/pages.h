/*
 * tests/support/pages.h: pages of every kind that memory holds, and places for unpacked pages that
 * notice a write outside them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define PAGE 4096

enum page_kind {
    PAGES_SPARSE,   /* zeros, and a few bytes */
    PAGES_CONSTANT, /* one byte over and over, another one in each page */
    PAGES_RANDOM,
    PAGES_TEXT,
    PAGES_ELF, /* of the running program */
    PAGES_INTEGERS,
    PAGES_MIXED, /* each page of another kind */
    PAGES_KINDS,
};
extern const char *const page_kinds[PAGES_KINDS];

/* The same seed gives the same pages. */
void pages_fill(uint8_t *to, size_t n_pages, enum page_kind kind, uint64_t seed);
/* xorshift64*: the next number; the sequence is the same in each run. */
uint64_t next_random(uint64_t *state);

/* `total` bytes in `n` pieces, with guards before, between and after them. */
struct places {
    struct iovec iov[128];
    size_t n, total;
    uint8_t *arena;
    size_t arena_len;
};

void places_init(struct places *p, size_t total, size_t n);
void places_done(struct places *p);
void places_clear(struct places *p);
/* Checks that nothing was written outside the pieces. */
void places_check_guards(const char *label, const struct places *p);
void places_check_hold(const char *label, const struct places *p, const uint8_t *bytes);
