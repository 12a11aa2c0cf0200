/*
 * tools/line.h: a line for people or scripts that holds an address, a path or another text that is
 * not ours.
 */
#pragma once

#include <stdio.h>

#include "base/macros.h"

/* The text made printable, and a line feed; flushed. */
void line_print(FILE *to, const char *fmt, ...) PRINTF(2, 3);
