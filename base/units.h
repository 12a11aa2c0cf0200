/*
 * base/units.h: numbers as people write them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* "512", "4096K", "2G": binary multiples. Bytes. */
MUST_USE int parse_size(const char *text, uint64_t *ret, struct error *err);
/* "200M" bytes by binary multiples, "10Gbit" bits by decimal ones, each per second. Bytes/s. */
MUST_USE int parse_rate(const char *text, uint64_t *ret, struct error *err);
/* "300ms", "1.5s", "2min"; a bare number is in units of `bare_ms`. Milliseconds. */
MUST_USE int parse_duration(const char *text, uint64_t bare_ms, uint64_t *ret, struct error *err);
MUST_USE int parse_number(const char *text, uint64_t max, uint64_t *ret, struct error *err);
/*
 * Calls take() for each number of a list as in "0-3,8", in its order. False: it is no such list, it
 * has a number above `max`, or take() did not want one.
 */
MUST_USE bool parse_list(const char *list, unsigned long max,
                         bool (*take)(void *arg, unsigned long number), void *arg);
