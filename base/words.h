/*
 * base/words.h: a command (a program and its arguments) as one line of text, from which a shell
 * would make the same words. Quotes and backslashes only; nothing is expanded.
 */
#pragma once

#include "base/error.h"

#define WORDS_MAX     256
#define WORDS_LEN_MAX 32768 /* bytes of a line */

/* The line; the caller frees it with free(). NULL if memory is short. */
char *words_join(const char *const *words, size_t n);
/*
 * *ret is the words, with a NULL after the last; the caller frees it with words_free(). ERR_USAGE:
 * a quote that does not end, or more than the limits above.
 */
MUST_USE int words_split(const char *line, char ***ret, struct error *err);
/* NULL is fine. */
void words_free(char **words);
