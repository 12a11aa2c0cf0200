/*
 * tools/guest_lines.h: shows what a guest writes to its serial port on our standard error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_LINE_MAX 240 /* bytes; a longer line is shown as several */

/* Guarded by the serial port's lock. Starts zeroed. */
struct guest_lines {
    char text[GUEST_LINE_MAX + 1];
    size_t len;
    bool stalled; /* nobody reads standard error */
};

/*
 * A serial_sink; `arg` is a struct guest_lines. A line is shown as a whole, made printable, after
 * "guest: ", so that the guest's text and ours are never on one line. A line is lost if standard
 * error does not take it.
 */
void guest_lines_put(void *arg, uint8_t byte);
/* Shows a line that has not ended yet. Call it when the guest is paused. */
void guest_lines_end(struct guest_lines *l);
