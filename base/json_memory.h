/*
 * base/json_memory.h: JSON where memory runs out. jansson does not always notice: what it builds
 * may lack a member, and while it reads a text it writes past the end of a string's memory.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

/* Call before any JSON is built or read: failures are noticed from then on. */
void json_memory_watch(void);

/* Whether JSON that this thread has built since its last call of this may lack something. */
bool json_memory_ran_out(void);

/*
 * Fails if memory ran out for any JSON that this thread has made since the last call. Call it
 * before JSON is printed or sent; then no caller has to check each member.
 */
MUST_USE int json_memory_check(struct error *err);
int json_memory_error(struct error *err); /* the error for that; returns -1 */

/*
 * json_loadb() and json_load_callback(), which return NULL where memory runs out. `feed` must not
 * use JSON itself. `why` may be NULL.
 */
json_t *json_memory_load(const char *text, size_t len, size_t flags, json_error_t *why);
json_t *json_memory_load_from(json_load_callback_t feed, void *arg, size_t flags,
                              json_error_t *why);
