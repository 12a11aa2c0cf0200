/*
 * base/units.h: numbers as people write them, and as they read them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* "512", "4096K", "2G": binary multiples. *ret in bytes. */
MUST_USE int parse_size(const char *text, uint64_t *ret, struct error *err);
/* "200M": bytes/s in binary multiples; "10Gbit": bits/s in decimal ones. *ret in bytes/s. */
MUST_USE int parse_rate(const char *text, uint64_t *ret, struct error *err);
/* "300ms", "1.5s", "2min"; a bare number is in units of `bare_ms`. *ret in milliseconds. */
MUST_USE int parse_duration(const char *text, uint64_t bare_ms, uint64_t *ret, struct error *err);
MUST_USE int parse_number(const char *text, uint64_t max, uint64_t *ret, struct error *err);
/*
 * Calls take() for each number of a list like "0-3,8", in its order. False: not such a list, a
 * number above `max`, or take() returned false.
 */
MUST_USE bool parse_list(const char *list, unsigned long max,
                         bool (*take)(void *arg, unsigned long number), void *arg);

/* --- for people ------------------------------------------------------------------------------ */

/*
 * Each fills the caller's buffer and returns it, so that a call fits into the arguments of a
 * printf: size_text(n, (char[UNIT_TEXT_LEN]){0}).
 */
#define UNIT_TEXT_LEN  32
#define COUNT_TEXT_LEN 64

/*
 * What has been moved, in decimal units with three digits: "17 B", "1.50 kB", "23.4 MB", "0 B".
 * What is not zero never reads as zero.
 */
const char *size_text(uint64_t bytes, char ret[static UNIT_TEXT_LEN]);
/* How large a memory is, in binary units: "64 MiB", "1.50 GiB". */
const char *memory_text(uint64_t bytes, char ret[static UNIT_TEXT_LEN]);
/* As size_text(), each second: "1.21 GB/s". */
const char *rate_text(uint64_t bytes_per_s, char ret[static UNIT_TEXT_LEN]);
/* The rate of so many bytes over that time, which is at least a millisecond. */
const char *rate_over_text(uint64_t bytes, uint64_t ms, char ret[static UNIT_TEXT_LEN]);
/* "320 ms", "1.25 s", "12.5 s", "2 min", "2 min 5 s" */
const char *time_text(uint64_t ms, char ret[static UNIT_TEXT_LEN]);
/* A short time from a finer clock: "0.850 ms", "12.3 ms"; from a second on, as time_text(). */
const char *short_time_text(uint64_t us, char ret[static UNIT_TEXT_LEN]);
/* "1 page", "2 pages": for nouns whose plural is made by an s. A longer noun is cut. */
const char *count_text(uint64_t n, const char *noun, char ret[static COUNT_TEXT_LEN]);
