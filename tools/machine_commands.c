#include "tools/machine_commands.h"

#include <string.h>

static int query_kvm(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct machine_commands *c = arg;

    (void)arguments;
    (void)err;
    *ret = json_pack("{s:b, s:b}", "enabled", (int)c->kvm, "present", (int)c->kvm);
    return 0;
}

static int query_cpus(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct machine_commands *c = arg;

    (void)arguments;
    (void)err;
    *ret = json_array();
    for (unsigned i = 0; i < c->cpus; i++)
        json_array_append_new(*ret, json_pack("{s:i}", "cpu-index", (int)i));
    return 0;
}

/* There is no tree of objects here: only what tells one machine from another. */
static int qom_get(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct machine_commands *c = arg;
    const char *path = json_string_value(json_object_get(arguments, "path"));
    const char *property = json_string_value(json_object_get(arguments, "property"));

    if (strcmp(path, "/machine") != 0 || strcmp(property, "type") != 0)
        return err_set(err, ERR_USAGE,
                       "'%.60s' of '%.60s': only the type of /machine is known here", property,
                       path);
    *ret = json_sprintf("%s-machine", vm_machine(c->vm)->config.machine);
    return 0;
}

static const struct qmp_argument where[] = {{"path", QMP_STRING, false},
                                            {"property", QMP_STRING, false}};

static const struct qmp_command commands[] = {
    {.name = "qom-get", .run = qom_get, .arguments = where, .n_arguments = ARRAY_LEN(where)},
    {.name = "query-cpus-fast", .run = query_cpus},
    {.name = "query-kvm", .run = query_kvm},
};

struct qmp_table machine_commands(struct machine_commands *about)
{
    return (struct qmp_table){commands, ARRAY_LEN(commands), about};
}
