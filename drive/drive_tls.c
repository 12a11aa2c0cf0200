#include "drive/drive_tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_read.h"
#include "base/printable.h"
#include "drive/drive_check.h"

#define CREDS_TYPE "child<tls-creds-"

/* What a VM says of its credentials. */
struct found {
    char kind[24];    /* "x509", "psk", "anon"; "": it does not tell */
    char folder[256]; /* on its host; "": it does not tell */
    bool verifies;    /* it demands a certificate of its peer */
};

/* What each end needs: the one that connects is TLS's client. */
static const struct {
    const char *endpoint, *does;
} roles[] = {
    [END_FROM] = {"client", "connects"},
    [END_TO] = {"server", "listens"},
};

static struct monitor *monitor_at(struct drive *d, enum migrate_end end)
{
    return end == END_FROM ? &d->from : &d->to;
}

const char *drive_tls_creds(const struct drive *d, enum migrate_end end)
{
    const char *own = end == END_FROM ? d->config.tls_creds_from : d->config.tls_creds_to;

    if (own)
        return own;
    return settings_explicit(&d->config.settings, PARAM_TLS_CREDS)
               ? settings_text(&d->config.settings, PARAM_TLS_CREDS)
               : NULL;
}

/* The text that will hold at TO or FROM: the user's, else what the VM has; "": none. */
static const char *text_of(const struct monitor *m, const char *chosen, const char *parameter)
{
    const char *present = json_string_value(json_object_get(m->parameters, parameter));

    if (chosen)
        return chosen;
    return present ? present : "";
}

/* --- objects --------------------------------------------------------------------------------- */

static const char *type_of(const json_t *objects, const char *id)
{
    json_t *object;
    size_t i;

    json_array_foreach(objects, i, object)
    {
        const char *name = json_string_value(json_object_get(object, "name"));
        const char *type = json_string_value(json_object_get(object, "type"));

        if (name && type && strcmp(name, id) == 0)
            return type;
    }
    return NULL;
}

/* The ids of objects whose type has `part`, ready to be read: "; it has tls0, tls1"; or "". */
static void others(const json_t *objects, const char *part, char *ret, size_t size)
{
    json_t *object;
    size_t i, len = 0;

    ret[0] = '\0';
    json_array_foreach(objects, i, object)
    {
        const char *name = json_string_value(json_object_get(object, "name"));
        const char *type = json_string_value(json_object_get(object, "type"));

        if (!name || !type || !strstr(type, part) || len >= size)
            continue;
        len += (size_t)snprintf(ret + len, size - len, "%s%s", len ? ", " : "; it has ", name);
    }
    printable(ret);
}

/* A property of an object of /objects; *ret is NULL if the VM does not tell. */
static int property(struct monitor *m, const char *id, const char *name, json_t **ret,
                    struct error *err)
{
    char path[300];

    snprintf(path, sizeof(path), "/objects/%s", id);
    return drive_ask_perhaps(m, "qom-get", json_pack("{s:s, s:s}", "path", path, "property", name),
                             ret, err);
}

static int text_property(struct monitor *m, const char *id, const char *name, char *ret,
                         size_t size, struct error *err)
{
    json_auto_t *value = NULL;

    if (property(m, id, name, &value, err) < 0)
        return -1;
    snprintf(ret, size, "%s", json_is_string(value) ? json_string_value(value) : "");
    printable(ret);
    return 0;
}

/* --- one end --------------------------------------------------------------------------------- */

static int check_kind(const struct monitor *m, const json_t *objects, const char *id,
                      enum migrate_end end, struct found *ret, struct error *err)
{
    const char *type = type_of(objects, id);
    char hint[160];

    others(objects, CREDS_TYPE, hint, sizeof(hint));
    if (!type)
        return err_set(err, ERR_USAGE,
                       "%s has no TLS credentials '%.60s'%s; give it such an object: -object "
                       "tls-creds-x509,id=%.60s,endpoint=%s,dir=..., or object-add",
                       m->name, id, hint, id, roles[end].endpoint);
    if (strncmp(type, CREDS_TYPE, strlen(CREDS_TYPE)) != 0)
        return err_set(err, ERR_USAGE, "%s: '%.60s' is no TLS credentials, but a %.60s%s", m->name,
                       id, type, hint);
    snprintf(ret->kind, sizeof(ret->kind), "%s", type + strlen(CREDS_TYPE));
    ret->kind[strcspn(ret->kind, ">")] = '\0';
    printable(ret->kind);
    return 0;
}

static int check_endpoint(struct monitor *m, const char *id, enum migrate_end end,
                          struct error *err)
{
    char endpoint[24];

    if (text_property(m, id, "endpoint", endpoint, sizeof(endpoint), err) < 0)
        return -1;
    if (endpoint[0] && strcmp(endpoint, roles[end].endpoint) != 0)
        return err_set(err, ERR_USAGE,
                       "%s: the TLS credentials '%.60s' have endpoint=%s; %s %s and needs "
                       "credentials with endpoint=%s",
                       m->name, id, endpoint, m->name, roles[end].does, roles[end].endpoint);
    return 0;
}

static int check_object(struct monitor *m, const json_t *objects, const char *id,
                        enum migrate_end end, struct found *ret, struct error *err)
{
    json_auto_t *verify = NULL;

    if (check_kind(m, objects, id, end, ret, err) < 0 || check_endpoint(m, id, end, err) < 0 ||
        text_property(m, id, "dir", ret->folder, sizeof(ret->folder), err) < 0 ||
        property(m, id, "verify-peer", &verify, err) < 0)
        return -1;
    ret->verifies = json_is_true(verify);
    return 0;
}

/* An object that allows some peers only is looked for in the same way. */
static int check_authz(const struct drive *d, const json_t *objects, struct error *err)
{
    const struct settings *s = &d->config.settings;
    const char *chosen =
        settings_explicit(s, PARAM_TLS_AUTHZ) ? settings_text(s, PARAM_TLS_AUTHZ) : NULL;
    const char *id = text_of(&d->to, chosen, parameters[PARAM_TLS_AUTHZ].name);
    char hint[160];

    if (!id[0] || type_of(objects, id))
        return 0;
    others(objects, "authz", hint, sizeof(hint));
    return err_set(err, ERR_USAGE,
                   "TO has no object '%.60s' for tls-authz%s; give it one: -object authz-simple, "
                   "authz-list or authz-listfile, or object-add",
                   id, hint);
}

static int check_end(struct drive *d, enum migrate_end end, struct found *ret, struct error *err)
{
    struct monitor *m = monitor_at(d, end);
    const char *id = text_of(m, drive_tls_creds(d, end), parameters[PARAM_TLS_CREDS].name);
    json_auto_t *objects = NULL;

    *ret = (struct found){0};
    if (!id[0] || m->is_ramjet)
        return 0;
    if (drive_ask_perhaps(m, "qom-list", json_pack("{s:s}", "path", "/objects"), &objects, err) < 0)
        return -1;
    if (!objects)
        return 0;
    if (check_object(m, objects, id, end, ret, err) < 0)
        return -1;
    return end == END_TO ? check_authz(d, objects, err) : 0;
}

/* --- both ------------------------------------------------------------------------------------ */

/* A client may have no certificate of its own, and no monitor tells. Its folder does, if we can
 * look into it. */
static int check_certificate(const struct drive *d, const struct found *from,
                             const struct found *to, struct error *err)
{
    char path[sizeof(from->folder) + sizeof("/client-cert.pem")];

    if (!to->verifies || !monitor_is_local(&d->from) || from->folder[0] != '/' ||
        access(from->folder, R_OK | X_OK) < 0)
        return 0;
    snprintf(path, sizeof(path), "%s/client-cert.pem", from->folder);
    if (access(path, F_OK) == 0 || errno != ENOENT)
        return 0;
    return err_set(err, ERR_USAGE,
                   "TO demands a certificate (verify-peer), and FROM's TLS credentials have none: "
                   "%s does not exist",
                   path);
}

int drive_check_tls(struct drive *d, struct error *err)
{
    struct found from, to;

    if (check_end(d, END_FROM, &from, err) < 0 || check_end(d, END_TO, &to, err) < 0)
        return -1;
    if (!from.kind[0] || !to.kind[0])
        return 0;
    if (strcmp(from.kind, to.kind) != 0)
        return err_set(err, ERR_USAGE,
                       "the TLS credentials of FROM are of kind %s, those of TO of kind %s; both "
                       "need the same",
                       from.kind, to.kind);
    return strcmp(from.kind, "x509") == 0 ? check_certificate(d, &from, &to, err) : 0;
}

/* An older one does not know the question. */
static int check_folder(struct drive *d, enum migrate_end end, struct error *err)
{
    struct monitor *m = monitor_at(d, end);

    if (!m->is_ramjet || !text_of(m, NULL, parameters[PARAM_TLS_CREDS].name)[0])
        return 0;
    if (monitor_ask(m, "x-check-credentials",
                    json_pack("{s:s, s:s}", "endpoint", roles[end].endpoint, "uri", d->uri), NULL,
                    err) == 0)
        return 0;
    if (!monitor_refused(m))
        return -1;
    err->kind = ERR_USAGE;
    return strstr(err->text, "CommandNotFound") ? 0 : -1;
}

int drive_check_folders(struct drive *d, struct error *err)
{
    if (check_folder(d, END_TO, err) < 0)
        return -1;
    return check_folder(d, END_FROM, err);
}
