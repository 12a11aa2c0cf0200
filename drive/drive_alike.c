#include "drive/drive_alike.h"

#include <stdio.h>
#include <string.h>

#include "base/json_read.h"
#include "base/printable.h"
#include "drive/drive_check.h"
#include "drive/drive_devices.h"

#define NAME_LEN 80

/* A property of the machine that is a text; "": the VM does not tell. */
static int machine_text(struct monitor *m, const char *property, char ret[static NAME_LEN],
                        struct error *err)
{
    json_auto_t *value = NULL;

    if (drive_ask_perhaps(m, "qom-get",
                          json_pack("{s:s, s:s}", "path", "/machine", "property", property), &value,
                          err) < 0)
        return -1;
    snprintf(ret, NAME_LEN, "%s", json_is_string(value) ? json_string_value(value) : "");
    printable(ret);
    return 0;
}

/* --- the machine ----------------------------------------------------------------------------- */

/* "pc-q35-7.2-machine" → "pc-q35-7.2", as it is given on a command line. */
static void cut_suffix(char *type)
{
    size_t len = strlen(type), suffix = strlen("-machine");

    if (len > suffix && strcmp(type + len - suffix, "-machine") == 0)
        type[len - suffix] = '\0';
}

/* *ret is true where the VM does not tell. */
static int knows_machine(struct monitor *m, const char *type, bool *ret, struct error *err)
{
    json_auto_t *machines = NULL;
    json_t *machine;
    size_t i;

    if (drive_ask_perhaps(m, "query-machines", NULL, &machines, err) < 0)
        return -1;
    *ret = !machines;
    json_array_foreach(machines, i, machine)
    {
        const char *name = json_string_value(json_object_get(machine, "name"));

        *ret = *ret || (name && strcmp(name, type) == 0);
    }
    return 0;
}

static int unlike_machines(struct drive *d, const char *from, const char *to, struct error *err)
{
    bool known;

    if (d->from.is_ramjet != d->to.is_ramjet)
        return err_set(err, ERR_USAGE,
                       "FROM is a %s (%s), TO a %s (%s): a guest cannot go to another kind of "
                       "machine",
                       from, d->from.version, to, d->to.version);
    if (d->to.is_ramjet)
        return err_set_with(err, ERR_USAGE, REMEDY_MACHINE_TYPE,
                            "FROM is a %s, TO a %s; start TO with the same type", from, to);
    if (knows_machine(&d->to, from, &known, err) < 0)
        return -1;
    err_set(err, ERR_USAGE, "FROM is a %s, TO a %s", from, to);
    if (known)
        return err_add(err, "; start TO with -machine %s", from);
    return err_add(err, ", and TO (%s) knows no %s: FROM (%s) can only go to a version that does",
                   d->to.version, from, d->from.version);
}

static int same_machine(struct drive *d, struct error *err)
{
    char from[NAME_LEN], to[NAME_LEN];

    if (drive_machine_of(&d->from, from, sizeof(from), err) < 0 ||
        drive_machine_of(&d->to, to, sizeof(to), err) < 0)
        return -1;
    cut_suffix(from);
    cut_suffix(to);
    if (!from[0] || !to[0] || strcmp(from, to) == 0)
        return 0;
    return unlike_machines(d, from, to, err);
}

/* --- memory ---------------------------------------------------------------------------------- */

/* In MiB; 0: the VM does not tell. */
static int memory_of(struct monitor *m, uint64_t *ret, struct error *err)
{
    json_auto_t *size = NULL;

    if (drive_ask_perhaps(m, "query-memory-size-summary", NULL, &size, err) < 0)
        return -1;
    *ret = (json_count(size, "base-memory") + json_count(size, "plugged-memory")) >> 20;
    return 0;
}

static int same_memory(struct drive *d, struct error *err)
{
    uint64_t from, to;

    if (memory_of(&d->from, &from, err) < 0 || memory_of(&d->to, &to, err) < 0)
        return -1;
    if (!from || !to || from == to)
        return 0;
    return err_set(err, ERR_USAGE,
                   "FROM has %llu MiB of memory, TO %llu MiB; start TO with as much, plugged in "
                   "the same way",
                   (unsigned long long)from, (unsigned long long)to);
}

/* In the stream a block of memory goes by the name of its backend. */
static int same_main_block(struct drive *d, struct error *err)
{
    char from[NAME_LEN], to[NAME_LEN];

    if (machine_text(&d->from, "memory-backend", from, err) < 0 ||
        machine_text(&d->to, "memory-backend", to, err) < 0)
        return -1;
    const char *one = strrchr(from, '/'), *other = strrchr(to, '/');
    if (!one || !other || strcmp(one, other) == 0)
        return 0;
    return err_set(err, ERR_USAGE,
                   "the main memory is '%s' at FROM and '%s' at TO, and goes by that name; start "
                   "TO with -machine memory-backend=%s and such an object",
                   one + 1, other + 1, one + 1);
}

/* Finds the backend with that id; NULL: the VM has no such backend. */
static const json_t *backend_of(const json_t *backends, const char *id)
{
    json_t *backend;
    size_t i;

    json_array_foreach(backends, i, backend)
    {
        const char *name = json_string_value(json_object_get(backend, "id"));

        if (name && strcmp(name, id) == 0)
            return backend;
    }
    return NULL;
}

/* A backend that only one has may be in no use; under one id, both need the same size. */
static int same_backends(struct drive *d, struct error *err)
{
    json_auto_t *from = NULL, *to = NULL;
    json_t *backend;
    size_t i;

    if (drive_ask_perhaps(&d->from, "query-memdev", NULL, &from, err) < 0 ||
        drive_ask_perhaps(&d->to, "query-memdev", NULL, &to, err) < 0)
        return -1;
    json_array_foreach(from, i, backend)
    {
        char id[NAME_LEN];
        uint64_t here = json_count(backend, "size");

        json_word(backend, "id", "", id, sizeof(id));
        const json_t *other = backend_of(to, id);
        if (other && here != json_count(other, "size"))
            return err_set(err, ERR_USAGE,
                           "the memory backend '%s' has %llu MiB at FROM and %llu MiB at TO", id,
                           (unsigned long long)(here >> 20),
                           (unsigned long long)(json_count(other, "size") >> 20));
    }
    return 0;
}

/* --- CPUs ------------------------------------------------------------------------------------ */

static int cpus_of(struct monitor *m, size_t *ret, struct error *err)
{
    json_auto_t *cpus = NULL;

    if (drive_ask_perhaps(m, "query-cpus-fast", NULL, &cpus, err) < 0)
        return -1;
    *ret = json_array_size(cpus); /* 0 where it does not tell */
    return 0;
}

static int same_cpus(struct drive *d, struct error *err)
{
    size_t from, to;

    if (cpus_of(&d->from, &from, err) < 0 || cpus_of(&d->to, &to, err) < 0)
        return -1;
    if (!from || !to || from == to)
        return 0;
    return err_set(err, ERR_USAGE, "FROM has %zu vCPU%s, TO %zu; start TO with as many", from,
                   from == 1 ? "" : "s", to);
}

/* *ret is NULL where it does not tell. */
static int has_kvm(struct monitor *m, json_t **ret, struct error *err)
{
    json_auto_t *kvm = NULL;

    *ret = NULL;
    if (drive_ask_perhaps(m, "query-kvm", NULL, &kvm, err) < 0)
        return -1;
    *ret = json_incref(json_object_get(kvm, "enabled"));
    return 0;
}

/* Under KVM there is a clock of the guest's, which no other accelerator can load. The other way a
 * QEMU goes; one of ours has other devices then. */
static int same_accelerator(struct drive *d, struct error *err)
{
    json_auto_t *from = NULL, *to = NULL;

    if (has_kvm(&d->from, &from, err) < 0 || has_kvm(&d->to, &to, err) < 0)
        return -1;
    if (!from || !to || json_equal(from, to) || (!d->from.is_ramjet && json_is_false(from)))
        return 0;
    return err_set(err, ERR_USAGE, "%s runs under KVM, and %s does not; start TO as FROM was",
                   json_is_true(from) ? "FROM" : "TO", json_is_true(from) ? "TO" : "FROM");
}

/* --- the guest's identity -------------------------------------------------------------------- */

static int uuid_of(struct monitor *m, char ret[static NAME_LEN], struct error *err)
{
    json_auto_t *answer = NULL;

    if (drive_ask_perhaps(m, "query-uuid", NULL, &answer, err) < 0)
        return -1;
    json_word(answer, "UUID", "", ret, NAME_LEN);
    return 0;
}

/* Each multifd channel begins with the UUID, and QEMU compares it; the main stream has it only
 * where the capability is on. One of ours that has none takes any. */
static const char *compares_uuid(const struct drive *d)
{
    static const enum capability by[] = {CAP_VALIDATE_UUID, CAP_MULTIFD};

    for (size_t i = 0; i < ARRAY_LEN(by); i++) {
        const char *name = capabilities[by[i]].name;

        if (json_is_true(json_object_get(d->from.capabilities, name)))
            return name;
    }
    return NULL;
}

int drive_check_uuid(struct drive *d, struct error *err)
{
    static const char none[] = "00000000-0000-0000-0000-000000000000";
    const char *why = compares_uuid(d);
    char from[NAME_LEN], to[NAME_LEN];

    if (!why)
        return 0;
    if (uuid_of(&d->from, from, err) < 0 || uuid_of(&d->to, to, err) < 0)
        return -1;
    if (!from[0] || !to[0] || strcmp(from, to) == 0 || (d->to.is_ramjet && strcmp(to, none) == 0))
        return 0;
    return err_set(err, ERR_USAGE,
                   "FROM's UUID is %s, TO's is %s, and with %s they are compared; start TO with "
                   "-uuid %s",
                   from, to, why, from);
}

/* --- the whole ------------------------------------------------------------------------------- */

static int (*const checks[])(struct drive *d, struct error *err) = {
    same_machine, same_accelerator, same_cpus, same_memory, same_main_block, same_backends,
};

int drive_check_alike(struct drive *d, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (checks[i](d, err) < 0)
            return -1;
    }
    return drive_check_devices(d, err);
}
