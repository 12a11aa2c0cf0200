#include "tools/guest_lines.h"

#include <poll.h>
#include <unistd.h>

#include "tools/line.h"

#define PATIENCE_MS 100

/* Waits once for a reader that has stopped reading: a vCPU that waits here cannot be stopped. */
static void show(struct guest_lines *l)
{
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};

    l->text[l->len] = 0;
    l->len = 0;
    l->stalled = poll(&room, 1, l->stalled ? 0 : PATIENCE_MS) <= 0;
    if (!l->stalled)
        line_print(stderr, "guest: %s", l->text);
}

void guest_lines_put(void *arg, uint8_t byte)
{
    struct guest_lines *l = arg;

    if (byte == '\n' || l->len == GUEST_LINE_MAX)
        show(l);
    if (byte == '\t')
        byte = ' ';
    if (byte != '\n' && byte != '\r')
        l->text[l->len++] = (char)(byte ? byte : '?');
}

void guest_lines_end(struct guest_lines *l)
{
    if (l->len > 0)
        show(l);
}
