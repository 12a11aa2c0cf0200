#include "tools/guest_commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "ram/digest.h"
#include "tools/vm_report.h"

static int query_guest(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct guest_commands *c = arg;
    bool running;

    (void)arguments;
    (void)err;
    (void)vm_run_status(c->vm, &running);
    *ret = vm_report_json(c->report, running);
    return 0;
}

static int add_digest(struct ram_block *b, json_t *list, struct error *err)
{
    char text[17];
    uint64_t digest;

    if (ram_digest(b, NULL, &digest, err) < 0)
        return -1;
    snprintf(text, sizeof(text), "%016" PRIx64, digest);
    json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "name", b->name, "length",
                                          (json_int_t)b->used_bytes, "xxh64", text));
    return 0;
}

static int digest(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct guest_commands *c = arg;
    struct ram_map *ram = &vm_machine(c->vm)->ram;
    json_auto_t *list = json_array();
    bool running;

    (void)arguments;
    if (vm_run_status(c->vm, &running) == RUN_INMIGRATE)
        return err_set(err, ERR_USAGE, "the guest is not here yet: wait until it has arrived");
    if (running)
        return err_set(err, ERR_USAGE, "the guest runs, and writes: stop it first");
    for (size_t i = 0; i < ram->n; i++) {
        if (add_digest(&ram->blocks[i], list, err) < 0)
            return -1;
    }
    *ret = json_incref(list);
    return 0;
}

static const struct qmp_command commands[] = {
    {.name = "x-query-guest", .run = query_guest},
    {.name = "x-ram-digest", .run = digest},
};

struct qmp_table guest_commands(struct guest_commands *about)
{
    return (struct qmp_table){commands, ARRAY_LEN(commands), about};
}
