/*
 * base/units.h: numbers as people write them.
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
