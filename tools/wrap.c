#include "tools/wrap.h"

#include <stdlib.h>
#include <string.h>

/* Characters of UTF-8. */
static size_t columns(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

/* Where the rest of a line begins, in bytes and columns: the left half of a table is ASCII. */
static size_t indent_of(const char *line, size_t len)
{
    size_t indent = strspn(line, " ");

    for (size_t i = indent; i + 2 < len && i < WRAP_WIDTH / 2; i++) {
        if (line[i] == ' ' && line[i + 1] == ' ' && line[i + 2] != ' ')
            indent = i + 2;
    }
    return indent;
}

/* How many bytes of the text fit into so many columns: up to a space, or else one whole word. */
static size_t fitting(const char *text, size_t len, size_t width)
{
    size_t fits = 0;

    for (size_t end = 0; end <= len; end++) {
        if (end < len && text[end] != ' ')
            continue;
        if (fits > 0 && columns(text, end) > width)
            break;
        fits = end;
    }
    return fits;
}

static void print_line(FILE *to, const char *line, size_t len)
{
    size_t indent = indent_of(line, len);

    if (columns(line, len) <= WRAP_WIDTH) {
        fprintf(to, "%.*s\n", (int)len, line);
        return;
    }
    fprintf(to, "%.*s", (int)indent, line);
    for (size_t at = indent; at < len;) {
        size_t n = fitting(line + at, len - at, WRAP_WIDTH - indent);

        fprintf(to, "%*s%.*s\n", at > indent ? (int)indent : 0, "", (int)n, line + at);
        at += n;
        at += strspn(line + at, " ");
    }
}

void wrap_print(FILE *to, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");

        print_line(to, text, len);
        text += len + (text[len] == '\n');
    }
}

FILE *wrap_begin(struct wrap *w, FILE *to)
{
    *w = (struct wrap){.to = to};
    w->parts = open_memstream(&w->text, &w->len);
    return w->parts ? w->parts : to;
}

void wrap_end(struct wrap *w)
{
    if (!w->parts)
        return;
    if (fclose(w->parts) == 0)
        wrap_print(w->to, w->text);
    free(w->text);
}
