/*
 * tests/support/methods.h: rows of a table that need a compression method of this build.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "compress/codec.h"

/* Whether this build has the method; if not, says why the row is skipped. */
static inline bool method_is_here(const char *label, enum codec_method method)
{
    const char *why = codec_absence(method);

    if (why)
        printf("skipped: %s: %s\n", label, why);
    return !why;
}
