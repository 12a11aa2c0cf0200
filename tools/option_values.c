#include "tools/option_values.h"

#include <stdio.h>
#include <string.h>

#include "base/cpus.h"
#include "base/units.h"
#include "base/uuid.h"
#include "settings/settings.h"
#include "tools/activation.h"
#include "tools/nearest.h"
#include "tools/own_settings.h"
#include "transport/address.h"
#include "transport/engine.h"
#include "vmm/dirty_kind.h"
#include "vmm/memory_backing.h"

/* --- settings -------------------------------------------------------------------------------- */

static int say(struct settings *s, const char *name, const char *value, struct error *err)
{
    struct refusal ignored;

    return settings_say(s, name, value, &ignored, err);
}

static int say_channels(struct settings *s, uint64_t n, struct error *err)
{
    struct refusal ignored;

    if (say(s, "multifd", n ? "on" : "off", err) < 0)
        return -1;
    if (n == 0)
        return 0;
    return settings_say_parameter(s, PARAM_MULTIFD_CHANNELS, (union parameter_value){.number = n},
                                  &ignored, err);
}

int option_channels(void *member, const char *value, struct error *err)
{
    uint64_t n;

    return parse_number(value, 255, &n, err) < 0 ? -1 : say_channels(member, n, err);
}

int option_channels_or_auto(void *member, const char *value, struct error *err)
{
    if (strcmp(value, "auto") == 0)
        return say_channels(member, own_channels(), err);
    return option_channels(member, value, err);
}

int option_method(void *member, const char *value, struct error *err)
{
    char method[24], level_name[48];
    const char *colon = strchr(value, ':');
    size_t len = colon ? (size_t)(colon - value) : strlen(value);

    snprintf(method, sizeof(method), "%.*s", (int)MIN(len, sizeof(method)), value);
    if (say(member, "multifd-compression", method, err) < 0)
        return -1;
    if (!colon)
        return 0;
    snprintf(level_name, sizeof(level_name), "multifd-%s-level", method);
    if (parameter_find(level_name) < 0)
        return err_set(err, ERR_USAGE, "'%.40s': method %s has no level", value, method);
    return say(member, level_name, colon + 1, err);
}

int option_setting(void *member, const char *value, struct error *err)
{
    const char *equals = strchr(value, '=');
    char name[64], hint[NEAREST_TEXT_LEN];

    if (!equals || equals == value || (size_t)(equals - value) >= sizeof(name))
        return err_set(err, ERR_USAGE, "'%.60s': expected NAME=VALUE; see ramjet help settings",
                       value);
    snprintf(name, sizeof(name), "%.*s", (int)(equals - value), value);
    if (say(member, name, equals + 1, err) == 0)
        return 0;
    bool known = capability_find(name) >= 0 || parameter_find(name) >= 0;
    return known ? -1 : err_add(err, "%s", nearest_setting(name, hint));
}

/* --- texts that are checked ------------------------------------------------------------------ */

static int keep(const char **member, const char *value)
{
    *member = value;
    return 0;
}

int option_machine(void *member, const char *value, struct error *err)
{
    if (!value[0] || strlen(value) > 127)
        return err_set(err, ERR_USAGE, "'%.40s': expected a machine type like pc-q35-10.0", value);
    return keep(member, value);
}

int option_tls_username(void *member, const char *value, struct error *err)
{
    if (!value[0] || strlen(value) > 255 || strchr(value, ':'))
        return err_set(err, ERR_USAGE, "'%.40s': expected a name of at most 255 bytes, without ':'",
                       value);
    return keep(member, value);
}

int option_uri(void *member, const char *value, struct error *err)
{
    struct address a;

    if (address_parse(value, &a, err) == 0 && a.scheme == ADDRESS_FD)
        return err_set(err, ERR_USAGE, "'%.40s': a descriptor is not the same in two programs",
                       value);
    if (address_parse_of(value, ADDRESSES_MONITOR_SAYS, &a, err) < 0)
        return -1;
    return keep(member, value);
}

int option_places(void *member, const char *value, struct error *err)
{
    struct cpu_places *places;

    if (cpu_places_parse(value, &places, err) < 0)
        return -1;
    cpu_places_free(places);
    return keep(member, value);
}

/* --- objects --------------------------------------------------------------------------------- */

int option_source_limit(void *member, const char *value, struct error *err)
{
    return parse_duration(value, 1, member, err);
}

int option_engine(void *member, const char *value, struct error *err)
{
    return engine_find(value, member, err);
}

int option_uuid(void *member, const char *value, struct error *err)
{
    if (uuid_parse(value, member) < 0)
        return err_set(err, ERR_USAGE, "'%.40s': expected xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                       value);
    return 0;
}

int option_backend(void *member, const char *value, struct error *err)
{
    struct memory_backing_config *backing = member;
    const char *numa = backing->numa;

    if (memory_backing_parse(value, backing, err) < 0)
        return -1;
    backing->numa = numa;
    return 0;
}

int option_dirty_source(void *member, const char *value, struct error *err)
{
    return dirty_kind_find(value, member, err);
}

int option_metrics(void *member, const char *value, struct error *err)
{
    const unsigned kinds =
        ADDRESS_SET(ADDRESS_TCP) | ADDRESS_SET(ADDRESS_UNIX) | ADDRESS_SET(ADDRESS_FILE);
    struct address at;

    if (!activation_is_address(value) && address_parse_of(value, kinds, &at, err) < 0)
        return -1;
    return keep(member, value);
}

int option_repeat(void *member, const char *value, struct error *err)
{
    unsigned *most = member;
    uint64_t n = 0;

    if (value && parse_number(value, UINT32_MAX, &n, err) < 0)
        return -1;
    if (value && n == 0)
        return err_set(err, ERR_USAGE, "'%s', expected a number of migrations, 1 or more", value);
    *most = (unsigned)n;
    return 0;
}

int option_entries(void *member, const char *value, struct error *err)
{
    unsigned *entries = member;
    uint64_t n;

    if (parse_number(value, UINT32_MAX, &n, err) < 0)
        return -1;
    if (n == 0)
        return err_set(err, ERR_USAGE, "'%s', expected a number of entries", value);
    *entries = (unsigned)n;
    return 0;
}
