/*
 * tools/nearest.h: the known name that a mistyped word probably meant.
 */
#pragma once

#include <stddef.h>

#define NEAREST_NAME_MAX 60 /* longer names and words are near to none */
#define NEAREST_TEXT_LEN (NEAREST_NAME_MAX + 24)

struct nearest {
    const char *word;
    size_t len;
    const char *name; /* the nearest so far, or NULL */
    unsigned distance;
};

/* `word` must outlive `n`. */
void nearest_begin(struct nearest *n, const char *word, size_t len);
/* A known name, which must outlive `n`. Of two that are equally near the first one counts. */
void nearest_offer(struct nearest *n, const char *name);
/* "; did you mean 'NAME'?", or "" where no name is near. Returns `ret`. */
const char *nearest_text(const struct nearest *n, char ret[static NEAREST_TEXT_LEN]);
/* The same, of all capabilities and parameters. */
const char *nearest_setting(const char *name, char ret[static NEAREST_TEXT_LEN]);
