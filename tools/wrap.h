/*
 * tools/wrap.h: text for people, in lines that fit a terminal.
 */
#pragma once

#include <stdio.h>

#define WRAP_WIDTH 80

/*
 * Prints lines; one that is wider than WRAP_WIDTH is broken at spaces. Its rest is indented as far
 * as the line's last column of a table: where a word follows two spaces or more, in the left half;
 * else as far as the line itself. A word is never broken.
 */
void wrap_print(FILE *to, const char *text);

/* Text that is printed in parts, and wrapped at its end. */
struct wrap {
    FILE *to, *parts;
    char *text;
    size_t len;
};

/* Returns where to print the parts. That is `to` itself, unwrapped, if memory is short. */
FILE *wrap_begin(struct wrap *w, FILE *to);
void wrap_end(struct wrap *w);
