#include "tools/option_kind.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"

const char option_names_end[] = "";

static int read_flag(const struct option_target *t, void *member, const char *value,
                     struct error *err)
{
    bool *flag = member;

    (void)t;
    (void)value;
    (void)err;
    *flag = true;
    return 0;
}

static int read_string(const struct option_target *t, void *member, const char *value,
                       struct error *err)
{
    const char **string = member;

    (void)t;
    (void)err;
    *string = value;
    return 0;
}

static int read_text(const struct option_target *t, void *member, const char *value,
                     struct error *err)
{
    if (!value[0])
        return err_set(err, ERR_USAGE, "expected %s", t->expected);
    return read_string(t, member, value, err);
}

static int read_count(const struct option_target *t, void *member, const char *value,
                      struct error *err)
{
    unsigned *count = member;
    uint64_t n;

    if (parse_number(value, t->max, &n, err) < 0)
        return -1;
    *count = (unsigned)n;
    return 0;
}

static int read_size(const struct option_target *t, void *member, const char *value,
                     struct error *err)
{
    (void)t;
    return parse_size(value, member, err);
}

static int read_time(const struct option_target *t, void *member, const char *value,
                     struct error *err)
{
    (void)t;
    return parse_duration(value, 1000, member, err);
}

/* "auto, always or never" */
static void list_names(const char *const *names, char *ret, size_t size)
{
    size_t len = 0;

    for (; *names != option_names_end; names++) {
        if (!*names)
            continue;
        const char *before = len == 0 ? "" : names[1] == option_names_end ? " or " : ", ";
        int more = snprintf(ret + len, size - len, "%s%s", before, *names);

        if (more < 0 || (size_t)more >= size - len)
            return;
        len += (size_t)more;
    }
}

static int read_choice(const struct option_target *t, void *member, const char *value,
                       struct error *err)
{
    unsigned *choice = member; /* an enum without negative values */
    char names[80];

    for (unsigned i = 0; t->names[i] != option_names_end; i++) {
        if (t->names[i] && strcmp(value, t->names[i]) == 0) {
            *choice = i;
            return 0;
        }
    }
    list_names(t->names, names, sizeof(names));
    return err_set(err, ERR_USAGE, "'%.40s': expected %s", value, names);
}

static int read_setting(const struct option_target *t, void *member, const char *value,
                        struct error *err)
{
    struct refusal ignored;

    return settings_say(member, t->setting, value ? value : "on", &ignored, err);
}

static int say_number(const struct option_target *t, struct settings *s, uint64_t number,
                      struct error *err)
{
    struct refusal ignored;

    return settings_say_parameter(s, t->parameter, (union parameter_value){.number = number},
                                  &ignored, err);
}

static int read_rate(const struct option_target *t, void *member, const char *value,
                     struct error *err)
{
    uint64_t bytes_per_s;

    return parse_rate(value, &bytes_per_s, err) < 0 ? -1 : say_number(t, member, bytes_per_s, err);
}

static int read_ms(const struct option_target *t, void *member, const char *value,
                   struct error *err)
{
    uint64_t ms;

    return parse_duration(value, 1, &ms, err) < 0 ? -1 : say_number(t, member, ms, err);
}

static int read_own(const struct option_target *t, void *member, const char *value,
                    struct error *err)
{
    return t->set(member, value, err);
}

static int (*const kinds[])(const struct option_target *t, void *member, const char *value,
                            struct error *err) = {
    [OPTION_FLAG] = read_flag,     [OPTION_STRING] = read_string,   [OPTION_TEXT] = read_text,
    [OPTION_COUNT] = read_count,   [OPTION_SIZE] = read_size,       [OPTION_TIME] = read_time,
    [OPTION_CHOICE] = read_choice, [OPTION_SETTING] = read_setting, [OPTION_RATE] = read_rate,
    [OPTION_MS] = read_ms,         [OPTION_OWN] = read_own,
};

int option_set(const struct option_target *t, void *options, const char *value, struct error *err)
{
    char *bytes = options;

    if (kinds[t->kind](t, bytes + t->offset, value, err) < 0)
        return -1;
    if (t->explicit)
        *(bool *)(void *)(bytes + t->explicit) = true;
    return 0;
}
