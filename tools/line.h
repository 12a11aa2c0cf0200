/*
 * tools/line.h: prints a line, for people or scripts, that holds text from outside, such as an
 * address or a path.
 */
#pragma once

#include <stdio.h>

#include "base/macros.h"

/* Makes the text printable, writes it and a line feed, and flushes. */
void line_print(FILE *to, const char *fmt, ...) PRINTF(2, 3);
/* Wipes the terminal's present line, where standard error is one. */
void line_clear(void);
