/*
 * tools/live_line.h: the line about a migration that runs, in parts: where a terminal is too narrow
 * for all, those that matter least are left out.
 */
#pragma once

#include <stddef.h>

#include "base/macros.h"

#define LIVE_PARTS    16
#define LIVE_PART_LEN 120
#define LIVE_LINE_LEN 400

/* In the order in which parts are left out, the last one first. Of one rank all go at once. */
enum live_rank { LIVE_STATE, LIVE_RATE, LIVE_LEFT, LIVE_ESTIMATE, LIVE_GUEST, LIVE_CHANNELS };

struct live_line {
    size_t n;
    struct {
        enum live_rank rank;
        char text[LIVE_PART_LEN];
    } parts[LIVE_PARTS];
};

void live_line_begin(struct live_line *l);
/* One more part, with what separates it from the part before: ", dirty 12 MB/s". */
void live_line_add(struct live_line *l, enum live_rank rank, const char *fmt, ...) PRINTF(3, 4);
/* The line, of at most so many columns; 0: without a limit. */
void live_line_text(const struct live_line *l, size_t columns, char ret[static LIVE_LINE_LEN]);
