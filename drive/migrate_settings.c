#include "drive/migrate_settings.h"

#include <string.h>

#include "base/json_read.h"
#include "control/settings_json.h"

/* Set by default, so that the way memory travels does not depend on what was set before. */
#define DEFAULT_CAPABILITIES                                                                       \
    (IN_SET(CAP_MULTIFD) | IN_SET(CAP_RETURN_PATH) | IN_SET(CAP_ZERO_COPY_SEND))
#define DEFAULT_PARAMETERS                                                                         \
    (IN_SET(PARAM_MULTIFD_CHANNELS) | IN_SET(PARAM_MULTIFD_COMPRESSION) |                          \
     IN_SET(PARAM_MAX_BANDWIDTH))

static bool concerns(enum side side, enum migrate_end end)
{
    return side == SIDE_BOTH || side == SIDE_EACH ||
           (side == SIDE_SOURCE ? end == END_FROM : end == END_TO);
}

/*
 * The source decides on the return path, but QEMU wants the capability at the destination, too:
 * under TLS, and before it takes a capability that needs it (switchover-ack).
 */
static bool capability_concerns(enum capability id, enum migrate_end end)
{
    return id == CAP_RETURN_PATH || concerns(capabilities[id].side, end);
}

static int unknown(const struct monitor *m, const char *what, const char *name, const char *since,
                   const char *removed, struct error *err)
{
    return err_set(err, ERR_USAGE, "%s (%s) has no %s %s: QEMU has it since %s%s%s", m->name,
                   m->version, what, name, since, removed ? ", removed in " : "",
                   removed ? removed : "");
}

/* --- capabilities ---------------------------------------------------------------------------- */

static void add_capability(json_t **arguments, const char *name, bool on)
{
    if (!*arguments)
        *arguments = json_pack("{s:[]}", "capabilities");
    json_array_append_new(json_object_get(*arguments, "capabilities"),
                          json_pack("{s:s, s:b}", "capability", name, "state", (int)on));
}

static int say_capability(const struct settings *s, enum capability id, const struct monitor *m,
                          struct migrate_changes *ret, struct error *err)
{
    const struct capability_info *c = &capabilities[id];
    bool on = settings_on(s, id);

    if (json_object_get(m->capabilities, c->name))
        add_capability(on ? &ret->on : &ret->off, c->name, on);
    else if (on && settings_explicit_capability(s, id))
        return unknown(m, "capability", c->name, c->since, c->removed, err);
    return 0;
}

static int say_capabilities(const struct settings *s, enum migrate_end end, const struct monitor *m,
                            struct migrate_changes *ret, struct error *err)
{
    uint64_t all = s->explicit_capabilities | DEFAULT_CAPABILITIES;

    for (unsigned i = 0; i < CAP_N; i++) {
        enum capability id = (enum capability)i;

        if (all & IN_SET(id) && capability_concerns(id, end) &&
            say_capability(s, id, m, ret, err) < 0)
            return -1;
    }
    return 0;
}

/* --- parameters ------------------------------------------------------------------------------ */

/* NULL for a number that is too large for JSON here, and for a list: only "none" could be sent. */
static json_t *value_json(enum parameter id, union parameter_value value)
{
    enum parameter_kind kind = parameters[id].kind;
    bool is_number = kind == KIND_NUMBER || kind == KIND_SIZE;

    if (kind == KIND_LIST || (is_number && value.number > INT64_MAX))
        return NULL;
    return parameter_value_json(id, value);
}

static int add_parameter(json_t **arguments, const char *name, json_t *value, struct error *err)
{
    if (!value)
        return err_set(err, ERR_USAGE, "%s: no value that a monitor takes", name);
    if (!*arguments)
        *arguments = json_object();
    json_object_set_new(*arguments, name, value);
    return 0;
}

/* Texts and lists may be absent from the VM's answer while they are not set. */
static bool is_known(const struct monitor *m, const struct parameter_info *p)
{
    return parameter_is_text((enum parameter)(p - parameters)) ||
           json_object_get(m->parameters, p->name);
}

static int say_parameter(const struct settings *s, enum parameter id, const struct monitor *m,
                         struct migrate_changes *ret, struct error *err)
{
    const struct parameter_info *p = &parameters[id];

    if (is_known(m, p))
        return add_parameter(&ret->parameters, p->name, value_json(id, s->parameters[id]), err);
    if (settings_explicit(s, id))
        return unknown(m, "parameter", p->name, p->since, p->removed, err);
    return 0;
}

static int say_parameters(const struct settings *s, enum migrate_end end, const char *tls_creds,
                          const struct monitor *m, struct migrate_changes *ret, struct error *err)
{
    uint64_t all = (s->explicit_parameters | DEFAULT_PARAMETERS) & ~IN_SET(PARAM_TLS_CREDS);

    for (unsigned i = 0; i < PARAM_N; i++) {
        if (all & IN_SET(i) && concerns(parameters[i].side, end) &&
            say_parameter(s, (enum parameter)i, m, ret, err) < 0)
            return -1;
    }
    return tls_creds ? add_parameter(&ret->parameters, "tls-creds", json_string(tls_creds), err)
                     : 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

int migrate_changes(const struct settings *s, enum migrate_end end, const char *tls_creds,
                    const struct monitor *m, struct migrate_changes *ret, struct error *err)
{
    *ret = (struct migrate_changes){0};
    if (say_capabilities(s, end, m, ret, err) < 0)
        return -1;
    return say_parameters(s, end, tls_creds, m, ret, err);
}

void migrate_changes_done(struct migrate_changes *c)
{
    json_decref(c->off);
    json_decref(c->parameters);
    json_decref(c->on);
}

static void foresee_capabilities(const json_t *arguments, struct monitor *m)
{
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(arguments, "capabilities"), i, entry)
    {
        json_object_set(m->capabilities, json_string_value(json_object_get(entry, "capability")),
                        json_object_get(entry, "state"));
    }
}

void migrate_changes_foresee(const struct migrate_changes *c, struct monitor *m)
{
    foresee_capabilities(c->off, m);
    if (c->parameters)
        json_object_update(m->parameters, c->parameters);
    foresee_capabilities(c->on, m);
}

static void adopt_parameter(struct settings *s, enum parameter id, const struct monitor *to)
{
    const json_t *has = json_object_get(to->parameters, parameters[id].name);
    union parameter_value value;
    struct error ignored;
    char text[32];

    if (settings_explicit(s, id) || !has)
        return;
    if (json_is_integer(has))
        snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(has));
    else
        json_word(to->parameters, parameters[id].name, "", text, sizeof(text));
    if (parameter_parse(id, text, &value, &ignored) == PARAM_OK)
        s->parameters[id] = value;
}

void migrate_settings_adopt(struct settings *s, const struct monitor *to)
{
    if (!settings_explicit_capability(s, CAP_MULTIFD)) {
        s->capabilities &= ~IN_SET(CAP_MULTIFD);
        if (json_is_true(json_object_get(to->capabilities, "multifd")))
            s->capabilities |= IN_SET(CAP_MULTIFD);
    }
    adopt_parameter(s, PARAM_MULTIFD_CHANNELS, to);
    adopt_parameter(s, PARAM_MULTIFD_COMPRESSION, to);
}

/* --- what has to be alike -------------------------------------------------------------------- */

static bool is_on(const struct monitor *m, const char *name)
{
    return json_is_true(json_object_get(m->capabilities, name));
}

static int alike_capabilities(const struct monitor *from, const struct monitor *to,
                              struct error *err)
{
    for (unsigned i = 0; i < CAP_N; i++) {
        const char *name = capabilities[i].name;
        bool on = is_on(from, name);

        if (capabilities[i].side == SIDE_BOTH && on != is_on(to, name))
            return err_set_with(err, ERR_USAGE, REMEDY_SET_BOTH, "%s is on at %s and off at %s",
                                name, on ? "FROM" : "TO", on ? "TO" : "FROM");
    }
    return 0;
}

/* Each VM has its own name for its credentials, so only their presence is compared. */
static bool alike(enum parameter id, const json_t *from, const json_t *to)
{
    if (id == PARAM_TLS_CREDS)
        return (json_string_length(from) > 0) == (json_string_length(to) > 0);
    return !from || !to || json_equal(from, to);
}

static bool counts(enum parameter id, bool multifd)
{
    bool of_multifd = id == PARAM_MULTIFD_CHANNELS || id == PARAM_MULTIFD_COMPRESSION;

    return parameters[id].side == SIDE_BOTH && (multifd || !of_multifd);
}

static int unlike(enum parameter id, struct error *err)
{
    const char *name = parameters[id].name;

    if (id == PARAM_TLS_CREDS)
        return err_set(err, ERR_USAGE, "TLS (%s) is set at one of FROM and TO only", name);
    return err_set_with(err, ERR_USAGE, REMEDY_SET_BOTH, "%s is not the same at FROM and TO", name);
}

int migrate_alike(const struct monitor *from, const struct monitor *to, struct error *err)
{
    if (alike_capabilities(from, to, err) < 0)
        return -1;
    for (unsigned i = 0; i < PARAM_N; i++) {
        const char *name = parameters[i].name;

        if (counts((enum parameter)i, is_on(from, "multifd")) &&
            !alike((enum parameter)i, json_object_get(from->parameters, name),
                   json_object_get(to->parameters, name)))
            return unlike((enum parameter)i, err);
    }
    return 0;
}
