#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/printable.h"

/*
 * Which limit an errno stands for, and how to raise it. For a limit of this process, the text also
 * has the present value.
 */
static const struct {
    int sys, resource; /* resource: RLIMIT_…, or -1 */
    const char *cure;
} limits[] = {
    {EMFILE, RLIMIT_NOFILE,
     "this process has as many descriptors open as RLIMIT_NOFILE allows; raise it (ulimit -n)"},
    {ETOOMANYREFS, RLIMIT_NOFILE,
     "more descriptors are on their way to other processes than RLIMIT_NOFILE allows; raise it "
     "(ulimit -n)"},
    {EFBIG, RLIMIT_FSIZE, "more bytes than RLIMIT_FSIZE allows; raise it (ulimit -f)"},
    {ENFILE, -1, "the whole system has as many files open as it may; raise fs.file-max (sysctl)"},
};

#define THREADS                                                                                    \
    "the user has as many threads as RLIMIT_NPROC allows, or the control group as many as its "    \
    "pids.max; raise it (ulimit -u)"

/* Without a limit, the errno has another cause: EFBIG may also be the file system's limit. */
static bool is_limited(int resource)
{
    struct rlimit limit;

    return resource < 0 || (getrlimit((__rlimit_resource_t)resource, &limit) == 0 &&
                            limit.rlim_cur != RLIM_INFINITY);
}

/* Appends how to raise the limit. */
static void add_cure(char *text, size_t size, int resource, const char *cure)
{
    struct rlimit limit;
    size_t len = strlen(text);

    if (resource >= 0 && getrlimit((__rlimit_resource_t)resource, &limit) == 0 &&
        limit.rlim_cur != RLIM_INFINITY)
        snprintf(text + len, size - len, ": %s, here %llu", cure,
                 (unsigned long long)limit.rlim_cur);
    else
        snprintf(text + len, size - len, ": %s", cure);
}

/* The positive errno; some interfaces return it negated. */
static int number_of(int sys)
{
    return sys < 0 && sys > -INT_MAX ? -sys : sys;
}

void err_name(int sys, char ret[static ERR_REASON_LEN])
{
    int number = number_of(sys);
    const char *known = number > 0 ? strerrordesc_np(number) : NULL;

    if (known)
        snprintf(ret, ERR_REASON_LEN, "%s", known);
    else
        snprintf(ret, ERR_REASON_LEN,
                 sys ? "error number %d, which has no name" : "no reason given", sys);
}

void err_reason(int sys, char ret[static ERR_REASON_LEN])
{
    int number = number_of(sys);

    err_name(sys, ret);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        if (number == limits[i].sys && is_limited(limits[i].resource))
            add_cure(ret, ERR_REASON_LEN, limits[i].resource, limits[i].cure);
    }
}

/* Sets everything but the text. */
static void begin(struct error *err, enum err_kind kind, int sys)
{
    err->kind = kind;
    err->sys = sys;
    err->remedy = REMEDY_NONE;
    err->remedy_at = 0;
}

static void set(struct error *err, enum err_kind kind, const char *fmt, va_list args)
{
    begin(err, kind, 0);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    printable(err->text);
}

int err_set(struct error *err, enum err_kind kind, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    set(err, kind, fmt, args);
    va_end(args);
    return -1;
}

int err_set_with(struct error *err, enum err_kind kind, enum remedy remedy, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    set(err, kind, fmt, args);
    va_end(args);
    return err_remedy(err, remedy);
}

/* The formatted text, then the reason. */
static int fail(struct error *err, int sys, const char *reason, const char *fmt, va_list args)
{
    begin(err, ERR_SYSTEM, sys);
    int len = vsnprintf(err->text, sizeof(err->text), fmt, args);
    if (len >= 0 && (size_t)len < sizeof(err->text))
        snprintf(err->text + len, sizeof(err->text) - (size_t)len, ": %s", reason);
    printable(err->text);
    return -1;
}

int err_sys(struct error *err, const char *fmt, ...)
{
    int sys = errno;
    char reason[ERR_REASON_LEN];
    va_list args;

    err_reason(sys, reason);
    va_start(args, fmt);
    fail(err, sys, reason, fmt, args);
    va_end(args);
    return -1;
}

int err_thread(struct error *err, const char *fmt, ...)
{
    int sys = errno;
    char reason[ERR_REASON_LEN];
    va_list args;

    err_reason(sys, reason);
    if (sys == EAGAIN)
        add_cure(reason, sizeof(reason), RLIMIT_NPROC, THREADS);
    va_start(args, fmt);
    fail(err, sys, reason, fmt, args);
    va_end(args);
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
    err->remedy_at = MIN(err->remedy_at + len, strlen(err->text));
    printable(err->text);
    return -1;
}

int err_add(struct error *err, const char *fmt, ...)
{
    size_t len = strlen(err->text);
    va_list args;

    va_start(args, fmt);
    vsnprintf(err->text + len, sizeof(err->text) - len, fmt, args);
    va_end(args);
    printable(err->text);
    return -1;
}

int err_remedy(struct error *err, enum remedy remedy)
{
    err->remedy = remedy;
    err->remedy_at = strlen(err->text);
    return -1;
}

void err_line(const struct error *err, const char *words, char ret[static ERR_LINE_LEN])
{
    size_t at = err->remedy == REMEDY_NONE ? strlen(err->text) : err->remedy_at;

    snprintf(ret, ERR_LINE_LEN, "%.*s%s%s", (int)at, err->text,
             err->remedy == REMEDY_NONE ? "" : words, err->text + at);
}
