#include "control/migrate_commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "control/address_json.h"
#include "control/query_migrate.h"
#include "control/settings_json.h"
#include "migration/credentials.h"

/* --- settings -------------------------------------------------------------------------------- */

static const struct qmp_argument capabilities_arguments[] = {{"capabilities", QMP_LIST, false}};

static int set_capabilities(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    struct settings change;

    (void)ret;
    if (capabilities_of_json(json_object_get(arguments, "capabilities"), &change, err) < 0)
        return -1;
    return vm_set(arg, &change, err);
}

static int set_parameters(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    struct settings change;
    char *words;

    (void)ret;
    if (parameters_of_json(arguments, &change, &words, err) < 0)
        return -1;
    int rc = vm_set(arg, &change, err);
    free(words);
    return rc;
}

static int query_settings(struct vm *vm, json_t *(*show)(const struct settings *s), json_t **ret,
                          struct error *err)
{
    struct settings s;

    if (vm_settings(vm, &s, err) < 0)
        return -1;
    *ret = show(&s);
    settings_copy_done(&s);
    return 0;
}

static int query_capabilities(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arguments;
    return query_settings(arg, capabilities_json, ret, err);
}

static int query_parameters(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arguments;
    return query_settings(arg, parameters_json, ret, err);
}

/* --- starting -------------------------------------------------------------------------------- */

/* detach has no effect, as in QEMU, which had it up to 10.x; clients still send it. */
static const struct qmp_argument migrate_arguments[] = {
    {"uri", QMP_STRING, true},
    {"channels", QMP_LIST, true},
    {"resume", QMP_BOOL, true},
    {"detach", QMP_BOOL, true},
};

static int migrate(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    struct address to, cpr;
    bool one, beside;

    (void)ret;
    if (address_of_json(arguments, &to, &one, &cpr, &beside, err) < 0)
        return -1;
    uint64_t world = (one ? 0 : IN_SET(FACT_BAD_CHANNELS)) |
                     (json_is_true(json_object_get(arguments, "resume")) ? IN_SET(FACT_RESUME) : 0);
    return vm_migrate(arg, one ? &to : NULL, beside ? &cpr : NULL, world, err);
}

static const struct qmp_argument check_arguments[] = {{"endpoint", QMP_STRING, false},
                                                      {"uri", QMP_STRING, false}};

/* Loads the credentials that the settings name as a migration would, and drops them. */
static int check_credentials(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const char *endpoint = json_string_value(json_object_get(arguments, "endpoint"));
    bool server = strcmp(endpoint, "server") == 0;
    struct tls_creds *creds = NULL;
    struct settings s;
    struct address at;

    (void)ret;
    if (!server && strcmp(endpoint, "client") != 0)
        return err_set(err, ERR_USAGE, "endpoint '%.20s': expected client or server", endpoint);
    if (address_parse_of(json_string_value(json_object_get(arguments, "uri")),
                         ADDRESSES_MONITOR_SAYS, &at, err) < 0 ||
        vm_settings(arg, &s, err) < 0)
        return -1;
    int rc = credentials_open(
        &(struct credentials_config){.server = server, .settings = &s, .address = &at}, &creds,
        err);
    settings_copy_done(&s);
    tls_creds_free(creds);
    return rc;
}

/* All clients wait for it. A look-up that takes longer goes on after the answer. */
#define LISTEN_PATIENCE_MS 500

static const struct qmp_argument incoming_arguments[] = {
    {"uri", QMP_STRING, true},
    {"channels", QMP_LIST, true},
    {"exit-on-error", QMP_BOOL, true},
};

static int migrate_incoming(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    struct address at, cpr;
    bool one, beside, exit_on_error = !json_is_false(json_object_get(arguments, "exit-on-error"));

    (void)ret;
    if (address_of_json(arguments, &at, &one, &cpr, &beside, err) < 0)
        return -1;
    one &= !beside; /* memory is handed over when the VM is made: --cpr */
    return vm_incoming(arg, one ? &at : NULL, one ? 0 : IN_SET(FACT_BAD_CHANNELS), exit_on_error,
                       LISTEN_PATIENCE_MS, err);
}

/* --- under way ------------------------------------------------------------------------------- */

static int migrate_cancel(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arguments;
    (void)ret;
    (void)err;
    vm_cancel(arg);
    return 0;
}

static const struct qmp_argument continue_arguments[] = {{"state", QMP_STRING, false}};

/* It can leave one status only. */
static int migrate_continue(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const char *state = json_string_value(json_object_get(arguments, "state"));
    const char *expected = migration_status_name(MIGRATION_PRE_SWITCHOVER);

    (void)ret;
    if (strcmp(state, expected) != 0)
        return err_set(err, ERR_USAGE, "Parameter 'state': '%.40s': expected %s", state, expected);
    return vm_continue(arg, err);
}

static int query_migrate(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    struct vm_migration m;

    (void)arguments;
    (void)err;
    vm_migration(arg, &m);
    *ret = query_migrate_json(&m);
    return 0;
}

/* --- the table ------------------------------------------------------------------------------- */

#define ARGUMENTS(list) .arguments = list, .n_arguments = ARRAY_LEN(list)

static const struct qmp_command commands[] = {
    {.name = "migrate", .run = migrate, ARGUMENTS(migrate_arguments)},
    {.name = "migrate-incoming", .run = migrate_incoming, ARGUMENTS(incoming_arguments)},
    {.name = "migrate_cancel", .run = migrate_cancel},
    {.name = "migrate-continue", .run = migrate_continue, ARGUMENTS(continue_arguments)},
    {.name = "migrate-set-capabilities",
     .run = set_capabilities,
     ARGUMENTS(capabilities_arguments)},
    {.name = "query-migrate-capabilities", .run = query_capabilities},
    {.name = "migrate-set-parameters", .run = set_parameters, .any_arguments = true},
    {.name = "query-migrate-parameters", .run = query_parameters},
    {.name = "query-migrate", .run = query_migrate},
    {.name = "x-check-credentials",
     .run = check_credentials,
     .arguments = check_arguments,
     .n_arguments = ARRAY_LEN(check_arguments)},
};

struct qmp_table migrate_commands(struct vm *vm)
{
    return (struct qmp_table){commands, ARRAY_LEN(commands), vm};
}
