#include "tools/notice.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/units.h"
#include "tools/line.h"

/* One per process: it runs one verb. */
static struct {
    const char *verb;
    bool quiet, verbose;
} notices = {.verb = ""};

void notice_begin(const char *verb)
{
    notices.verb = verb;
}

const char *notice_verb(void)
{
    return notices.verb;
}

void notice_choose(bool quiet, bool verbose)
{
    notices.quiet = quiet;
    notices.verbose = verbose;
}

bool notice_is_quiet(void)
{
    return notices.quiet;
}

static void PRINTF(1, 0) say(const char *fmt, va_list args)
{
    char text[PATH_MAX + 256];

    vsnprintf(text, sizeof(text), fmt, args);
    line_clear(); /* or the words follow it in its line */
    line_print(stderr, "ramjet %s: %s", notices.verb, text);
}

void notice(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (!notices.quiet)
        say(fmt, args);
    va_end(args);
}

void detail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (notices.verbose)
        say(fmt, args);
    va_end(args);
}

/* --- details --------------------------------------------------------------------------------- */

void detail_settings(const struct settings *s)
{
    char text[PARAMETER_TEXT_MAX];

    for (size_t i = 0; i < CAP_N; i++) {
        if (settings_on(s, (enum capability)i) ||
            settings_explicit_capability(s, (enum capability)i))
            detail("%s is %s", capabilities[i].name,
                   settings_on(s, (enum capability)i) ? "on" : "off");
    }
    for (size_t i = 0; i < PARAM_N; i++) {
        if (!settings_explicit(s, (enum parameter)i))
            continue;
        parameter_print((enum parameter)i, s->parameters[i], text);
        detail("%s is %s", parameters[i].name, text);
    }
}

void detail_status(void *arg, enum migration_status status)
{
    (void)arg;
    detail("status: %s", migration_status_name(status));
}

void detail_pass(void *arg, uint64_t pass)
{
    (void)arg;
    detail("round %llu begins", (unsigned long long)pass);
}

void detail_channels(const struct migration_snapshot *s)
{
    char size[UNIT_TEXT_LEN];

    for (size_t i = 0; i < s->n_channels; i++)
        detail("channel %u: %s in %llu packets, %llu pages with data, %llu zero", s->channels[i].id,
               size_text(s->channels[i].bytes, size), (unsigned long long)s->channels[i].packets,
               (unsigned long long)s->channels[i].normal, (unsigned long long)s->channels[i].zero);
}
