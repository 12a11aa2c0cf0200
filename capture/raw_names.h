/*
 * capture/raw_names.h: the names of a raw capture's files.
 */
#pragma once

#include <stdbool.h>

#include "ram/block.h"

#define RAW_STREAM "stream" /* the main stream, without pages */

/* The name of a block's file: "ram.NAME", with % and / of NAME as %25 and %2F. */
#define RAW_NAME_MAX (4 + 3 * RAM_BLOCK_NAME) /* bytes, with the terminator */
void raw_block_name(const char *block, char ret[static RAW_NAME_MAX]);

/* Whether `name` is a name that a capture's files have. */
bool raw_name_is_ours(const char *name);
