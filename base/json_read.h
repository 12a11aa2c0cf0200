/*
 * base/json_read.h: members of JSON that came from elsewhere, ready to be shown or counted.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Copies a member that is a string, else `otherwise`; cut to `size` and made printable. */
void json_word(const json_t *object, const char *member, const char *otherwise, char *ret,
               size_t size);
/* The member's value if it is a number and not negative; else 0. */
uint64_t json_count(const json_t *object, const char *member);
