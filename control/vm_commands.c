#include "control/vm_commands.h"

static int query_status(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    bool running;
    enum run_status status = vm_run_status(arg, &running);

    (void)arguments;
    (void)err;
    *ret = json_pack("{s:s, s:b}", "status", run_status_name(status), "running", running);
    return 0;
}

static int query_name(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arguments;
    (void)err;
    *ret = json_pack("{s:s*}", "name", vm_name(arg));
    return 0;
}

static int query_uuid(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    char text[UUID_TEXT_LEN];

    (void)arguments;
    (void)err;
    uuid_format(vm_uuid(arg), text);
    *ret = json_pack("{s:s}", "UUID", text);
    return 0;
}

static int query_memory(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arguments;
    (void)err;
    *ret = json_pack("{s:I}", "base-memory", (json_int_t)vm_machine(arg)->ram.total_bytes);
    return 0;
}

static int stop(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arguments;
    (void)ret;
    return vm_stop(arg, err);
}

static int cont(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arguments;
    (void)ret;
    return vm_cont(arg, err);
}

/* The work is in after_quit(): before it the answer is sent, as the monitor may end with the VM. */
static int quit(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arg;
    (void)arguments;
    (void)ret;
    (void)err;
    return 0;
}

static void after_quit(void *arg)
{
    vm_quit(arg, SHUTDOWN_QUIT);
}

static const struct qmp_command commands[] = {
    {.name = "query-status", .run = query_status},
    {.name = "query-name", .run = query_name},
    {.name = "query-uuid", .run = query_uuid},
    {.name = "query-memory-size-summary", .run = query_memory},
    {.name = "stop", .run = stop},
    {.name = "cont", .run = cont},
    {.name = "quit", .run = quit, .after = after_quit},
};

struct qmp_table vm_commands(struct vm *vm)
{
    return (struct qmp_table){commands, ARRAY_LEN(commands), vm};
}
