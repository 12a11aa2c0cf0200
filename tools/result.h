/*
 * tools/result.h: what a verb says to scripts on standard output: one JSON object as its result,
 * and before that a line for each event. docs/output.md has the members.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"
#include "tools/options.h"

/* `json`: a result as JSON is asked for. */
void result_begin(bool json);

/*
 * Prints the result of a verb and takes over `members`; NULL means that memory has run out. Status
 * and verb are put in front: `completed` where `members` has no status; after a `failure` that is
 * not NULL, `failed` or `cancelled`, and its text and kind as the member `error`.
 */
MUST_USE int result_print(json_t *members, const struct error *failure, struct error *err);
/* For a failure whose verb has printed no result: prints one if JSON is asked for. */
void result_print_failure(const struct error *failure);

/* A string for a member: a path need not be UTF-8, and is made printable then. */
json_t *result_text(const char *text);
/*
 * A line about what has begun: with --json an object with the member `event`, and the members that
 * are taken over; else, and with --events text, the text. Whether it was written is found out at
 * the end, with the result.
 */
void result_event(const struct options *o, const char *event, json_t *members, const char *fmt, ...)
    PRINTF(4, 5);
