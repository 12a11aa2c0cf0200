#include "tools/live_line.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void live_line_begin(struct live_line *l)
{
    l->n = 0;
}

void live_line_add(struct live_line *l, enum live_rank rank, const char *fmt, ...)
{
    va_list args;

    if (l->n == LIVE_PARTS)
        return;
    va_start(args, fmt);
    vsnprintf(l->parts[l->n].text, LIVE_PART_LEN, fmt, args);
    va_end(args);
    l->parts[l->n++].rank = rank;
}

/* UTF-8: a byte that continues a character has no column of its own. */
static bool begins_column(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t columns_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += begins_column(*text);
    return n;
}

static void join(const struct live_line *l, int last_rank, char ret[static LIVE_LINE_LEN])
{
    size_t len = 0;

    ret[0] = 0;
    for (size_t i = 0; i < l->n; i++) {
        if ((int)l->parts[i].rank > last_rank)
            continue;
        snprintf(ret + len, LIVE_LINE_LEN - len, "%s", l->parts[i].text);
        len = strlen(ret);
    }
}

static void cut(char *text, size_t columns)
{
    for (; *text && columns; text++)
        columns -= begins_column(*text);
    while (*text && !begins_column(*text))
        text++;
    *text = 0;
}

void live_line_text(const struct live_line *l, size_t columns, char ret[static LIVE_LINE_LEN])
{
    int last_rank = LIVE_CHANNELS;

    join(l, last_rank, ret);
    if (columns == 0)
        return;
    while (columns_of(ret) > columns && last_rank > LIVE_STATE)
        join(l, --last_rank, ret);
    cut(ret, columns);
}
