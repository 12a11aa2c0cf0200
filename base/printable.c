#include "base/printable.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/*
 * Characters that are not printed: Unicode 16.0's categories Cc, Cf, Cs, Zl and Zp, the specials,
 * and the planes from 14 on, which contain tags and private use characters.
 */
static const struct {
    uint32_t first, last;
} hidden[] = {
    {0x0000, 0x001f},   {0x007f, 0x009f},   {0x00ad, 0x00ad},      {0x0600, 0x0605},
    {0x061c, 0x061c},   {0x06dd, 0x06dd},   {0x070f, 0x070f},      {0x0890, 0x0891},
    {0x08e2, 0x08e2},   {0x180e, 0x180e},   {0x200b, 0x200f},      {0x2028, 0x202e},
    {0x2060, 0x206f},   {0xd800, 0xdfff},   {0xfeff, 0xfeff},      {0xfff0, 0xfffb},
    {0xfffe, 0xffff},   {0x110bd, 0x110bd}, {0x110cd, 0x110cd},    {0x13430, 0x1343f},
    {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, UINT32_MAX},
};

static bool is_hidden(uint32_t c)
{
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        if (c >= hidden[i].first && c <= hidden[i].last)
            return true;
    }
    return false;
}

/* Row i: the first byte of a character of i + 1 bytes, and the lowest character of that length. */
static const struct form {
    uint8_t mask, lead;
    uint32_t lowest;
} forms[] = {{0x80, 0x00, 0x0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

/* The length in bytes of the visible character at `text`; 0: there is none. */
static size_t visible(const unsigned char *text)
{
    size_t form = 0;

    while (form < ARRAY_LEN(forms) && (text[0] & forms[form].mask) != forms[form].lead)
        form++;
    if (form == ARRAY_LEN(forms))
        return 0;
    uint32_t c = text[0] & (uint8_t)~forms[form].mask;
    for (size_t i = 1; i <= form; i++) {
        if ((text[i] & 0xc0) != 0x80) /* also true for the terminator */
            return 0;
        c = c << 6 | (text[i] & 0x3f);
    }
    return c >= forms[form].lowest && !is_hidden(c) ? form + 1 : 0;
}

void printable(char *text)
{
    while (*text) {
        size_t len = visible((const unsigned char *)text);

        if (len == 0)
            *text = '?';
        text += len ? len : 1;
    }
}
