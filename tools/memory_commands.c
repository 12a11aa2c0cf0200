#include "tools/memory_commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/numa_bind.h"

/* --- properties out of JSON ------------------------------------------------------------------ */

#define VALUE_LEN 4096

static int nodes_as_text(const json_t *list, char ret[static VALUE_LEN], struct error *err)
{
    const json_t *node;
    size_t i, len = 0;

    ret[0] = 0;
    json_array_foreach(list, i, node)
    {
        if (!json_is_integer(node) || json_integer_value(node) < 0 ||
            json_integer_value(node) >= NUMA_NODES_MAX || len + 8 > VALUE_LEN)
            return err_set(err, ERR_USAGE, "Parameter 'host-nodes' expects numbers of NUMA nodes");
        len += (size_t)snprintf(ret + len, VALUE_LEN - len, "%s%" PRId64, len ? "," : "",
                                (int64_t)json_integer_value(node));
    }
    return 0;
}

static int value_as_text(const json_t *value, char ret[static VALUE_LEN], struct error *err)
{
    switch (json_typeof(value)) {
    case JSON_ARRAY:
        return nodes_as_text(value, ret, err);
    case JSON_INTEGER:
        snprintf(ret, VALUE_LEN, "%" PRId64, (int64_t)json_integer_value(value));
        return 0;
    case JSON_STRING:
        if (json_string_length(value) >= VALUE_LEN)
            return err_set(err, ERR_USAGE, "a text of %zu bytes, expected fewer than %d",
                           json_string_length(value), VALUE_LEN);
        strcpy(ret, json_string_value(value));
        return 0;
    default:
        strcpy(ret, json_is_true(value) ? "on" : "off");
        return 0;
    }
}

static const enum qmp_type types[] = {
    [MEMORY_TEXT] = QMP_STRING,
    [MEMORY_SIZE] = QMP_INTEGER,
    [MEMORY_SWITCH] = QMP_BOOL,
    [MEMORY_NODES] = QMP_LIST,
};

/* Checks them against the table of properties, by QEMU's names. */
static int check_properties(const json_t *arguments, struct error *err)
{
    struct qmp_argument members[32];
    size_t n = 0;

    for (size_t i = 0; i < n_memory_properties; i++) {
        const char *name = memory_properties[i].names[MEMORY_QEMU];

        if (name)
            members[n++] = (struct qmp_argument){name, types[memory_properties[i].type], true};
    }
    return qmp_check(arguments, members, n, err);
}

static int read_backend(const json_t *arguments, struct memory_backend_config *ret,
                        struct error *err)
{
    char text[VALUE_LEN];
    const char *name;
    json_t *value;

    *ret = (struct memory_backend_config){0};
    if (!json_object_get(arguments, "qom-type"))
        return err_set(err, ERR_USAGE, "Parameter 'qom-type' is missing");
    if (check_properties(arguments, err) < 0)
        return -1;
    json_object_foreach(UNQUALIFIED(arguments), name, value)
    {
        if (value_as_text(value, text, err) < 0 ||
            memory_backend_say(ret, MEMORY_QEMU, name, text, err) < 0)
            return -1;
    }
    return memory_backend_finish(ret, MEMORY_QEMU, err);
}

/* --- backends come and go -------------------------------------------------------------------- */

static int object_add(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct memory_commands *c = arg;
    struct memory_backend_config config;

    (void)ret;
    if (read_backend(arguments, &config, err) < 0)
        return -1;
    return memory_backends_add(c->backends, &config, err);
}

static const char *text_of(const json_t *arguments, const char *name)
{
    return json_string_value(json_object_get(arguments, name));
}

static int object_del(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct memory_commands *c = arg;

    (void)ret;
    return memory_backends_remove(c->backends, text_of(arguments, "id"), err);
}

/* --- what there is --------------------------------------------------------------------------- */

/* The machine's block if the backend is mapped into the guest, else the backend's own. */
static const struct ram_block *block_of(const struct memory_commands *c, size_t i)
{
    const struct ram_block *b = memory_backends_block(c->backends, i);

    return b ? b : ram_map_find(&vm_machine(c->vm)->ram, memory_backends_at(c->backends, i)->id);
}

/* For any backend; unlike vm_migratable() alone, it knows those that are not mapped. */
static int is_migratable(const struct memory_commands *c, const char *name, bool *ret,
                         struct error *err)
{
    const struct memory_backend_config *config = memory_backends_find(c->backends, name);

    *ret = false;
    return config && !config->mapped ? 0 : vm_migratable(c->vm, name, ret, err);
}

static int describe(const struct memory_commands *c, size_t i, json_t **ret, struct error *err)
{
    const struct memory_backend_config *config = memory_backends_at(c->backends, i);
    const struct ram_block *b = block_of(c, i);
    bool migratable;

    if (is_migratable(c, config->id, &migratable, err) < 0)
        return -1;
    *ret =
        json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:I}", "id", config->id, "qom-type",
                  memory_backend_qom_type(config), "kind", memory_kind_name(config->kind), "size",
                  (json_int_t)config->bytes, "share", b->shared, "migratable", migratable, "mapped",
                  config->mapped, "page-size", (json_int_t)b->host_page_bytes);
    if (config->mapped)
        json_object_set_new(*ret, "addr", json_integer((json_int_t)config->address));
    if (config->path[0])
        json_object_set_new(*ret, "path", json_string(config->path));
    if (config->numa[0])
        json_object_set_new(*ret, "numa", json_string(config->numa));
    return 0;
}

static int query_backends(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct memory_commands *c = arg;
    json_auto_t *list = json_array();

    (void)arguments;
    for (size_t i = 0; i < memory_backends_n(c->backends); i++) {
        json_t *row;

        if (describe(c, i, &row, err) < 0)
            return -1;
        json_array_append_new(list, row);
    }
    *ret = json_incref(list);
    return 0;
}

static json_t *nodes_of(const struct memory_backend_config *config)
{
    json_t *list = json_array();
    struct numa_nodes nodes;
    struct error ignored; /* the text was parsed before, when the memory was bound */

    if (!config->numa[0] || numa_nodes_parse(config->numa, &nodes, &ignored) < 0)
        return list;
    for (unsigned i = 0; i < NUMA_NODES_MAX; i++) {
        if (numa_nodes_has(&nodes, i))
            json_array_append_new(list, json_integer(i));
    }
    return list;
}

/* The same in QEMU's form, which has fewer members. */
static int query_memdev(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct memory_commands *c = arg;

    (void)arguments;
    (void)err;
    *ret = json_array();
    for (size_t i = 0; i < memory_backends_n(c->backends); i++) {
        const struct memory_backend_config *config = memory_backends_at(c->backends, i);

        json_array_append_new(
            *ret, json_pack("{s:s, s:I, s:b, s:b, s:b, s:b, s:o, s:s}", "id", config->id, "size",
                            (json_int_t)config->bytes, "merge", 0, "dump", 1, "prealloc", 0,
                            "share", block_of(c, i)->shared, "host-nodes", nodes_of(config),
                            "policy", config->numa[0] ? "bind" : "default"));
    }
    return 0;
}

/* --- which RAM blocks migrations are about --------------------------------------------------- */

static int get_migratable(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const char *name = text_of(arguments, "name");
    bool migratable;

    if (is_migratable(arg, name, &migratable, err) < 0)
        return -1;
    *ret = json_pack("{s:s, s:b}", "name", name, "migratable", migratable);
    return 0;
}

static int set_migratable(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct memory_commands *c = arg;
    const char *name = text_of(arguments, "name");
    const struct memory_backend_config *config = memory_backends_find(c->backends, name);
    bool migratable = json_is_true(json_object_get(arguments, "migratable"));
    struct refusal ignored;

    (void)ret;
    if (config && !config->mapped && migratable)
        return rule_say(rule_of("B1"), name, NULL, &ignored, err);
    if (config && !config->mapped)
        return 0;
    return vm_set_migratable(c->vm, name, migratable, err);
}

/* --- the table ------------------------------------------------------------------------------- */

static const struct qmp_argument del_arguments[] = {{"id", QMP_STRING, false}};
static const struct qmp_argument get_arguments[] = {{"name", QMP_STRING, false}};
static const struct qmp_argument set_arguments[] = {{"name", QMP_STRING, false},
                                                    {"migratable", QMP_BOOL, false}};

static const struct qmp_command commands[] = {
    {.name = "object-add", .run = object_add, .any_arguments = true},
    {.name = "object-del",
     .run = object_del,
     .arguments = del_arguments,
     .n_arguments = ARRAY_LEN(del_arguments)},
    {.name = "query-memory-backends", .run = query_backends},
    {.name = "query-memdev", .run = query_memdev},
    {.name = "ram-block-get-migratable",
     .run = get_migratable,
     .arguments = get_arguments,
     .n_arguments = ARRAY_LEN(get_arguments)},
    {.name = "ram-block-set-migratable",
     .run = set_migratable,
     .arguments = set_arguments,
     .n_arguments = ARRAY_LEN(set_arguments)},
};

struct qmp_table memory_commands(struct memory_commands *about)
{
    return (struct qmp_table){commands, ARRAY_LEN(commands), about};
}
