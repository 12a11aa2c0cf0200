#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct error *err, enum err_kind kind, const char *fmt, ...)
{
    va_list args;

    err->kind = kind;
    err->sys = 0;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    return -1;
}

int err_sys(struct error *err, const char *fmt, ...)
{
    int sys = errno;
    char reason[128];
    va_list args;

    err->kind = ERR_SYSTEM;
    err->sys = sys;
    va_start(args, fmt);
    int len = vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof(err->text))
        snprintf(err->text + len, sizeof(err->text) - (size_t)len, ": %s",
                 strerror_r(sys, reason, sizeof(reason)));
    return -1;
}

int err_in(struct error *err, const char *fmt, ...)
{
    char context[sizeof(err->text) / 2];
    va_list args;

    va_start(args, fmt);
    vsnprintf(context, sizeof(context) - 2, fmt, args);
    va_end(args);
    strcat(context, ": ");
    size_t len = strlen(context), room = sizeof(err->text) - 1 - len;
    memmove(err->text + len, err->text, MIN(strlen(err->text), room) + 1);
    memcpy(err->text, context, len);
    err->text[sizeof(err->text) - 1] = 0;
    return -1;
}

void err_printable(char *text)
{
    for (; *text; text++) {
        if (*text < 0x20 || *text > 0x7e)
            *text = '?';
    }
}
