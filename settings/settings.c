#include "settings/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compress/codec.h"

void settings_init(struct settings *s)
{
    *s = (struct settings){0};
    for (size_t i = 0; i < PARAM_N; i++)
        s->parameters[i] = parameters[i].standard;
}

/* --- setting values --------------------------------------------------------------------------- */

int settings_say_capability(struct settings *s, enum capability id, bool on, struct refusal *ret,
                            struct error *err)
{
    if (settings_explicit_capability(s, id) && settings_on(s, id) != on)
        return rule_say(rule_of("R2"), capabilities[id].name, NULL, ret, err);
    s->explicit_capabilities |= IN_SET(id);
    s->capabilities = on ? s->capabilities | IN_SET(id) : s->capabilities & ~IN_SET(id);
    return 0;
}

/* `value` has been checked. */
static int say_parameter(struct settings *s, enum parameter id, union parameter_value value,
                         struct refusal *ret, struct error *err)
{
    if (settings_explicit(s, id) && !parameter_equal(id, s->parameters[id], value))
        return rule_say(rule_of("R2"), parameters[id].name, NULL, ret, err);
    s->explicit_parameters |= IN_SET(id);
    s->parameters[id] = value;
    return 0;
}

/* *err says what was expected; this adds which rule that is. */
static int refuse_value(enum parameter_verdict verdict, struct refusal *ret, struct error *err)
{
    struct error said = *err;

    return rule_say(rule_of(verdict == PARAM_NO_SUCH_VALUE ? "P6" : "P1"), NULL, said.text, ret,
                    err);
}

int settings_say_parameter(struct settings *s, enum parameter id, union parameter_value value,
                           struct refusal *ret, struct error *err)
{
    enum parameter_verdict verdict = parameter_check(id, value, err);

    if (verdict != PARAM_OK)
        return refuse_value(verdict, ret, err);
    return say_parameter(s, id, value, ret, err);
}

static int read_parameter(struct settings *s, enum parameter id, const char *text,
                          struct refusal *ret, struct error *err)
{
    union parameter_value value;
    enum parameter_verdict verdict = parameter_parse(id, text, &value, err);

    if (verdict != PARAM_OK)
        return refuse_value(verdict, ret, err);
    return say_parameter(s, id, value, ret, err);
}

static int read_capability(struct settings *s, enum capability id, const char *text,
                           struct refusal *ret, struct error *err)
{
    bool on;

    if (parse_switch(text, &on))
        return settings_say_capability(s, id, on, ret, err);
    err_set(err, ERR_USAGE, "%s: '%.60s': expected on or off", capabilities[id].name, text);
    return refuse_value(PARAM_OUT_OF_RANGE, ret, err);
}

int settings_say(struct settings *s, const char *name, const char *value, struct refusal *ret,
                 struct error *err)
{
    int capability = capability_find(name), parameter = parameter_find(name);
    char quoted[64];

    if (capability >= 0)
        return read_capability(s, (enum capability)capability, value, ret, err);
    if (parameter >= 0)
        return read_parameter(s, (enum parameter)parameter, value, ret, err);
    snprintf(quoted, sizeof(quoted), "'%.60s'", name);
    return rule_say(rule_of("R1"), quoted, NULL, ret, err);
}

void settings_overlay(struct settings *s, const struct settings *change)
{
    s->capabilities = (s->capabilities & ~change->explicit_capabilities) |
                      (change->capabilities & change->explicit_capabilities);
    for (size_t i = 0; i < PARAM_N; i++) {
        if (settings_explicit(change, (enum parameter)i))
            s->parameters[i] = change->parameters[i];
    }
    s->explicit_capabilities |= change->explicit_capabilities;
    s->explicit_parameters |= change->explicit_parameters;
}

/* --- copies ---------------------------------------------------------------------------------- */

int settings_copy(const struct settings *s, struct settings *ret, struct error *err)
{
    struct settings copy = *s;
    bool whole = true;

    for (size_t i = 0; i < PARAM_N; i++) {
        if (parameter_is_text((enum parameter)i))
            whole = (copy.parameters[i].text = strdup(s->parameters[i].text)) && whole;
    }
    if (!whole) {
        err_sys(err, "memory for settings");
        settings_copy_done(&copy);
        return -1;
    }
    *ret = copy;
    return 0;
}

void settings_copy_done(struct settings *copy)
{
    for (size_t i = 0; i < PARAM_N; i++) {
        if (parameter_is_text((enum parameter)i))
            free(UNQUALIFIED(copy->parameters[i].text));
    }
    *copy = (struct settings){0};
}

/* --- looking --------------------------------------------------------------------------------- */

bool settings_on(const struct settings *s, enum capability id)
{
    return s->capabilities & IN_SET(id);
}

bool settings_explicit_capability(const struct settings *s, enum capability id)
{
    return s->explicit_capabilities & IN_SET(id);
}

bool settings_explicit(const struct settings *s, enum parameter id)
{
    return s->explicit_parameters & IN_SET(id);
}

uint64_t settings_number(const struct settings *s, enum parameter id)
{
    return s->parameters[id].number;
}

const char *settings_text(const struct settings *s, enum parameter id)
{
    return s->parameters[id].text;
}

unsigned settings_channels(const struct settings *s)
{
    return settings_on(s, CAP_MULTIFD) ? (unsigned)settings_number(s, PARAM_MULTIFD_CHANNELS) : 0;
}

int settings_level(const struct settings *s)
{
    switch (settings_number(s, PARAM_MULTIFD_COMPRESSION)) {
    case CODEC_ZLIB:
        return (int)settings_number(s, PARAM_MULTIFD_ZLIB_LEVEL);
    case CODEC_ZSTD:
        return (int)s->parameters[PARAM_MULTIFD_ZSTD_LEVEL].level;
    default:
        return 0;
    }
}
