#include "tools/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "settings/parameters.h"

/* A word of so many letters may have one mistake, twice as many two, … */
#define LETTERS_PER_MISTAKE 3
/* The beginning of a name counts as one mistake, if it has so many letters. */
#define PREFIX_MIN 4

static bool is_same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/*
 * How many letters must be inserted, removed, replaced or swapped with their neighbours to turn one
 * word into the other (optimal string alignment). Three rows of the table are enough: the present
 * one and two before it.
 */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][NEAREST_NAME_MAX + 1];

    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        const unsigned *before = rows[(i + 1) % 3], *last = rows[(i - 1) % 3];
        unsigned *now = rows[i % 3];

        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = MIN(MIN(last[j], now[j - 1]) + 1, last[j - 1] + !is_same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && is_same(a[i - 1], b[j - 2]) && is_same(a[i - 2], b[j - 1]))
                now[j] = MIN(now[j], before[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

void nearest_begin(struct nearest *n, const char *word, size_t len)
{
    *n = (struct nearest){.word = word, .len = len};
}

void nearest_offer(struct nearest *n, const char *name)
{
    size_t len = strlen(name);

    if (len > NEAREST_NAME_MAX || n->len > NEAREST_NAME_MAX)
        return;
    unsigned d = distance(n->word, n->len, name, len);
    if (n->len >= PREFIX_MIN && len > n->len && strncmp(name, n->word, n->len) == 0)
        d = 1;
    if (d * LETTERS_PER_MISTAKE > n->len || (n->name && d >= n->distance))
        return;
    n->name = name;
    n->distance = d;
}

const char *nearest_text(const struct nearest *n, char ret[static NEAREST_TEXT_LEN])
{
    ret[0] = 0;
    if (n->name)
        snprintf(ret, NEAREST_TEXT_LEN, "; did you mean '%s'?", n->name);
    return ret;
}

const char *nearest_setting(const char *name, char ret[static NEAREST_TEXT_LEN])
{
    struct nearest near;

    nearest_begin(&near, name, strlen(name));
    for (size_t i = 0; i < CAP_N; i++)
        nearest_offer(&near, capabilities[i].name);
    for (size_t i = 0; i < PARAM_N; i++)
        nearest_offer(&near, parameters[i].name);
    return nearest_text(&near, ret);
}
