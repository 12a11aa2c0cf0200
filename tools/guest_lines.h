/*
 * tools/guest_lines.h: what a guest writes to its serial port, at our standard error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_LINE_MAX 240 /* bytes; a longer line is shown as several */

/* The serial port's, under its lock. Zeroed to begin with. */
struct guest_lines {
    char text[GUEST_LINE_MAX + 1];
    size_t len;
    bool stalled; /* nobody reads there */
};

/*
 * A serial_sink, `arg` being a struct guest_lines. A line is shown as a whole, printable, and
 * behind "guest: ": so the guest's words and ours are never on one line, whatever it writes. A line
 * that finds no room is lost.
 */
void guest_lines_put(void *arg, uint8_t byte);
/* When the guest stands still: shows what has no end yet. */
void guest_lines_end(struct guest_lines *l);
