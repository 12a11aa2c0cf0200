#include "drive/monitor.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_memory.h"
#include "base/json_read.h"
#include "control/qmp_virsh.h"
#include "drive/migrate_path.h"

/* Signals are looked at between commands: an answer that is cut off would end the connection. */
static const struct cancel never = {.fd = -1};

/* --- the connection -------------------------------------------------------------------------- */

static int open_socket(struct monitor *m, uint64_t deadline, struct error *err)
{
    struct address at;

    if (address_parse_of(m->address, ADDRESSES_TO_DIAL, &at, err) < 0)
        return -1;
    m->local = migrate_is_local(&at);
    return qmp_client_open(&at, deadline, &never, &m->client, err);
}

static int open_domain(struct monitor *m, const char *domain, uint64_t deadline, struct error *err)
{
    if (qmp_client_open_domain(domain, deadline, &never, &m->client, err) < 0)
        return -1;
    m->local = qmp_client_is_here(m->client);
    return 0;
}

int monitor_open(struct monitor *m, const char *name, const char *address,
                 uint64_t connect_timeout_ms, uint64_t patience_ms, struct error *err)
{
    uint64_t deadline = deadline_in_ms(connect_timeout_ms);
    const char *domain = qmp_virsh_domain(address);

    *m = (struct monitor){.name = name, .address = address, .patience_ms = patience_ms};
    int rc = domain ? open_domain(m, domain, deadline, err) : open_socket(m, deadline, err);
    return rc < 0 ? err_in(err, "%s", name) : 0;
}

void monitor_close(struct monitor *m)
{
    qmp_client_close(m->client);
    json_decref(m->capabilities);
    json_decref(m->parameters);
    *m = (struct monitor){0};
}

int monitor_ask(struct monitor *m, const char *command, json_t *arguments, json_t **ret,
                struct error *err)
{
    qmp_client_set_deadline(m->client, deadline_in_ms(m->patience_ms));
    int rc = json_memory_check(err);
    if (rc == 0)
        rc = qmp_client_execute(m->client, command, arguments, ret, err);
    json_decref(arguments);
    return rc < 0 ? err_in(err, "%s", m->name) : 0;
}

bool monitor_refused(const struct monitor *m)
{
    return qmp_client_refusal(m->client);
}

static int ask_for_object(struct monitor *m, const char *command, json_t **ret, struct error *err)
{
    json_t *answer;

    if (monitor_ask(m, command, NULL, &answer, err) < 0)
        return -1;
    if (!json_is_object(answer)) {
        json_decref(answer);
        return err_set(err, ERR_PEER, "%s: %s: the answer is no object", m->name, command);
    }
    *ret = answer;
    return 0;
}

bool monitor_is_local(const struct monitor *m)
{
    return m->local;
}

bool monitor_is_ours(const struct monitor *m)
{
    return qmp_client_is_ours(m->client);
}

/* --- questions ------------------------------------------------------------------------------- */

int monitor_run_state(struct monitor *m, char ret[static MONITOR_WORD_MAX], struct error *err)
{
    json_auto_t *status = NULL;

    if (ask_for_object(m, "query-status", &status, err) < 0)
        return -1;
    json_word(status, "status", "unknown", ret, MONITOR_WORD_MAX);
    return 0;
}

int monitor_migration(struct monitor *m, json_t **ret, struct error *err)
{
    return ask_for_object(m, "query-migrate", ret, err);
}

/* The version, for people, and for `can_stay`, which no simpler question tells. */
static int learn_version(struct monitor *m, struct error *err)
{
    json_auto_t *answer = NULL;

    if (ask_for_object(m, "query-version", &answer, err) < 0)
        return -1;
    const char *package = json_string_value(json_object_get(answer, "package"));
    m->is_ramjet = package && strncmp(package, "ramjet", 6) == 0;
    const json_t *numbers = json_object_get(answer, "qemu");
    unsigned major = (unsigned)json_count(numbers, "major");
    unsigned minor = (unsigned)json_count(numbers, "minor");
    unsigned micro = (unsigned)json_count(numbers, "micro");
    m->number = (major * 100 + minor) * 100 + micro;
    snprintf(m->version, sizeof(m->version), "%s %u.%u.%u", m->is_ramjet ? "ramjet" : "QEMU", major,
             minor, micro);
    m->can_stay = m->is_ramjet || major > 9 || (major == 9 && minor >= 1);
    return 0;
}

/* From [{"capability": NAME, "state": BOOL}, …] to {NAME: BOOL, …}. */
static int learn_capabilities(struct monitor *m, struct error *err)
{
    json_auto_t *answer = NULL;
    json_t *entry;
    size_t i;

    if (monitor_ask(m, "query-migrate-capabilities", NULL, &answer, err) < 0)
        return -1;
    json_decref(m->capabilities);
    m->capabilities = json_object();
    json_array_foreach(answer, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "capability"));

        if (name)
            json_object_set(m->capabilities, name, json_object_get(entry, "state"));
    }
    return 0;
}

static int learn_parameters(struct monitor *m, struct error *err)
{
    json_t *answer;

    if (ask_for_object(m, "query-migrate-parameters", &answer, err) < 0)
        return -1;
    json_decref(m->parameters);
    m->parameters = answer;
    return 0;
}

int monitor_learn(struct monitor *m, struct error *err)
{
    if (learn_version(m, err) < 0 || learn_capabilities(m, err) < 0)
        return -1;
    return learn_parameters(m, err);
}
