#include "tools/line.h"

#include <limits.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/printable.h"

void line_print(FILE *to, const char *fmt, ...)
{
    char text[PATH_MAX + 256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    printable(text);
    fprintf(to, "%s\n", text);
    fflush(to);
}

void line_clear(void)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}
