/*
 * tools/json_print.h: prints a JSON result on standard output.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "base/error.h"

/*
 * Writes the value and a line feed, and flushes. `flags`: jansson's layout, such as JSON_COMPACT.
 * The text is ASCII: any other character, or an unprintable one, is written as \uXXXX, so nothing
 * is lost and no foreign text reaches a terminal unescaped. Nothing is written if memory has run
 * out: for this text, for any member (base/json_memory.h), or for the whole, when `json` is NULL.
 */
MUST_USE int json_print(const json_t *json, size_t flags, struct error *err);
/* The same for a line that may be lost, as one of many. */
void json_print_line(FILE *to, const json_t *json);
