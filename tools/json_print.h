/*
 * tools/json_print.h: a result for programs, on standard output; and a member of one for people.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

/*
 * Writes the value and a line feed, and flushes. `flags`: jansson's layout, JSON_COMPACT or so. The
 * text is ASCII: what is not printable, or is none of ASCII, stands as \uXXXX, so that nothing is
 * lost and no foreign text reaches a terminal as it is. Nothing is written where memory runs out
 * or has run out for any member (tools/output.h); a NULL `json` is where it has for the whole.
 */
MUST_USE int json_print(const json_t *json, size_t flags, struct error *err);

/* A member that is a string, as far as it fits, fit to be printed; else `otherwise`. */
void json_word(const json_t *object, const char *member, const char *otherwise, char *ret,
               size_t size);
