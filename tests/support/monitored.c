#include "tests/support/monitored.h"

#include <errno.h>

#include "base/clock.h"
#include "capture/target.h"
#include "control/migrate_commands.h"
#include "control/qmp_event.h"
#include "control/vm_commands.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

static const struct cancel never = {.fd = -1};

static uint64_t soon(void)
{
    return deadline_in_ms(HANG_MS);
}

/* --- its target ----------------------------------------------------------------------------- */

struct test_target {
    struct target base;
    struct target *null;
    struct monitored *m;
};

static int on_listed(struct target *l, const struct configuration *config,
                     const struct device_state *devices, struct ram_map *ram, struct error *err)
{
    struct test_target *t = (struct test_target *)l;

    pthread_mutex_lock(&t->m->lock);
    const char *refuse = t->m->list_error;
    t->m->list_error = NULL;
    pthread_mutex_unlock(&t->m->lock);
    if (refuse)
        return err_set(err, ERR_USAGE, "%s", refuse);
    return t->null->ops->listed(t->null, config, devices, ram, err);
}

static void on_free(struct target *l)
{
    target_free(((struct test_target *)l)->null);
    free(l);
}

static const struct target_ops target_ops = {.listed = on_listed, .free = on_free};

static int land(void *arg, const struct ram_set_rules *ram, struct target **ret, struct error *err)
{
    struct monitored *m = arg;
    struct test_target *t = calloc(1, sizeof(*t));

    (void)ram;
    pthread_mutex_lock(&m->lock);
    m->n_targets++;
    const char *refuse = m->land_error;
    m->land_error = NULL;
    pthread_mutex_unlock(&m->lock);
    assert_non_null(t);
    t->base.ops = &target_ops;
    t->m = m;
    if (refuse || target_null_new(&t->null, err) < 0) {
        free(t);
        return refuse ? err_set(err, ERR_USAGE, "%s", refuse) : -1;
    }
    *ret = &t->base;
    return 0;
}

/* --- its life -------------------------------------------------------------------------------- */

static void on_over(void *arg, const struct error *failure)
{
    struct monitored *m = arg;

    pthread_mutex_lock(&m->lock);
    m->n_over++;
    m->failure = failure ? *failure : (struct error){.kind = ERR_NONE};
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

static void on_event(void *arg, const char *name, const json_t *message)
{
    struct monitored *m = arg;
    const json_t *data = json_object_get(message, "data");
    const char *status = json_string_value(json_object_get(data, "status"));
    size_t len = strlen(m->events);

    if (strcmp(name, "MIGRATION_PASS") == 0) { /* how many there are varies */
        CHECK(json_integer_value(json_object_get(data, "pass")) > m->last_pass, "passes go on");
        m->last_pass = json_integer_value(json_object_get(data, "pass"));
        return;
    }
    CHECK(len + 64 < sizeof(m->events), "too many events: %s", m->events);
    sprintf(m->events + len, "%s%s%s ", name, status ? " " : "", status ? status : "");
}

static void make_vm(struct monitored *m, const struct monitored_config *c)
{
    struct synth_config synth = {.bytes = c->bytes,
                                 .zero_percent = 20,
                                 .random_percent = 20,
                                 .dirty_bytes_per_s = c->dirty_bytes_per_s};
    struct uuid uuid;
    struct error err;

    OK(machine_synth(&synth, &m->machine, &err), err, "machine");
    if (c->uuid)
        assert_int_equal(uuid_parse(c->uuid, &uuid), 0);
    const struct vm_config config = {
        .name = c->name,
        .uuid = c->uuid ? &uuid : NULL,
        .machine = m->machine,
        .waiting = c->waiting,
        .land = land,
        .connect_timeout_ms = HANG_MS,
        .stall_timeout_ms = HANG_MS,
        .over = on_over,
        .arg = m,
    };
    OK(vm_new(&config, &m->vm, &err), err, "VM");
}

static void make_backends(struct monitored *m, uint64_t bytes)
{
    struct memory_backend_config main = {
        .id = MEMORY_MAIN, .bytes = bytes, .mapped = true, .migratable = true};
    struct error err;

    OK(memory_backends_new(&m->backends, &err), err, "backends");
    OK(memory_backends_add(m->backends, &main, &err), err, "backends");
    m->memory = (struct memory_commands){m->vm, m->backends};
}

static void make_monitor(struct monitored *m, const char *name)
{
    static unsigned n_before; /* the socket of a failed test may still be there */
    char path[PATH_MAX], file[64];
    struct address at;
    struct error err;

    m->tables[0] = vm_commands(m->vm);
    m->tables[1] = migrate_commands(m->vm);
    m->tables[2] = dirty_rate_commands(m->vm);
    m->tables[3] = memory_commands(&m->memory);
    const struct qmp_registry registry = {m->tables, ARRAY_LEN(m->tables), "test"};
    OK(qmp_server_new(&registry, &m->server, &err), err, "monitor");
    snprintf(file, sizeof(file), "%.40s-%u", name, n_before++);
    snprintf(m->address, sizeof(m->address), "unix:%.200s", temp_path(path, file));
    OK(address_parse(m->address, &at, &err), err, m->address);
    OK(qmp_server_listen(m->server, &at, &(struct transport_config){.cancel = &never}, &err), err,
       m->address);
    OK(qmp_server_start(m->server, &err), err, "monitor");
    vm_set_events(m->vm, qmp_event_send, m->server);
    OK(qmp_client_open(&at, soon(), &never, &m->client, &err), err, "client");
    qmp_client_set_events(m->client, on_event, m);
}

void monitored_start(struct monitored *m, const struct monitored_config *config)
{
    memset(m, 0, sizeof(*m));
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    make_vm(m, config);
    make_backends(m, config->bytes);
    make_monitor(m, config->name);
    vm_start(m->vm, config->paused);
    monitored_tell(m, "migrate-set-capabilities",
                   "{'capabilities': [{'capability': 'events', 'state': true}]}");
    monitored_tell(m, "migrate-set-parameters", "{'max-bandwidth': 0}");
    monitored_forget(m);
}

void monitored_end(struct monitored *m)
{
    qmp_client_close(m->client);
    qmp_server_stop(m->server);
    vm_free(m->vm);
    qmp_server_free(m->server);
    machine_free(m->machine);
    memory_backends_free(m->backends);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
}

/* --- talking --------------------------------------------------------------------------------- */

static json_t *parse(const char *text)
{
    char *copy = strdup(text ? text : "{}");
    json_error_t why;

    for (char *at = copy; (at = strchr(at, '\''));)
        *at = '"';
    json_t *json = json_loads(copy, 0, &why);
    CHECK(json, "%s: %s", copy, why.text);
    free(copy);
    return json;
}

static int execute(struct monitored *m, const char *command, const char *arguments, json_t **ret,
                   struct error *err)
{
    json_t *json = parse(arguments);

    qmp_client_set_deadline(m->client, soon());
    int rc = qmp_client_execute(m->client, command, json, ret, err);
    json_decref(json);
    return rc;
}

json_t *monitored_ask(struct monitored *m, const char *command, const char *arguments)
{
    struct error err;
    json_t *answer;

    OK(execute(m, command, arguments, &answer, &err), err, arguments ? arguments : command);
    return answer;
}

void monitored_tell(struct monitored *m, const char *command, const char *arguments)
{
    json_decref(monitored_ask(m, command, arguments));
}

void monitored_refused(struct monitored *m, const char *command, const char *arguments,
                       const char *part)
{
    struct error err;
    json_t *answer = NULL;

    check_refused(arguments ? arguments : command, execute(m, command, arguments, &answer, &err),
                  &err, ERR_PEER, part);
    assert_string_equal(qmp_client_refusal(m->client), "GenericError");
}

void monitored_await(struct monitored *m, const char *text)
{
    struct error err;

    qmp_client_set_deadline(m->client, soon());
    while (!strstr(m->events, text))
        CHECK(qmp_client_await_event(m->client, &err) == 0, "%s; expected '%s' in: %s", err.text,
              text, m->events);
}

void monitored_forget(struct monitored *m)
{
    m->events[0] = 0;
    m->last_pass = 0;
}

void monitored_await_over(struct monitored *m)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HANG_MS / 1000;
    pthread_mutex_lock(&m->lock);
    while (!m->n_over)
        CHECK(pthread_cond_timedwait(&m->changed, &m->lock, &until) == 0, "it is not over");
    CHECK(m->n_over == 1, "over %u times", m->n_over);
    pthread_mutex_unlock(&m->lock);
}

const char *monitored_state(struct monitored *m, char ret[static 64])
{
    json_t *run = monitored_ask(m, "query-status", NULL);
    json_t *migration = monitored_ask(m, "query-migrate", NULL);
    const char *status = json_string_value(json_object_get(migration, "status"));

    snprintf(ret, 64, "%s/%s", json_string_value(json_object_get(run, "status")),
             status ? status : "");
    json_decref(run);
    json_decref(migration);
    return ret;
}

void monitored_listen(struct monitored *m, const char *uri, char ret[static 256])
{
    char arguments[200];

    snprintf(arguments, sizeof(arguments), "{'uri': '%.120s', 'exit-on-error': false}", uri);
    monitored_tell(m, "migrate-incoming", arguments);
    json_t *info = monitored_ask(m, "query-migrate", NULL);
    char *address =
        json_dumps(json_array_get(json_object_get(info, "socket-address"), 0), JSON_COMPACT);
    assert_non_null(address);
    snprintf(ret, 256,
             "{\"channels\": [{\"channel-type\": \"main\", \"addr\": {\"transport\": \"socket\", "
             "%.120s}]}",
             address + 1);
    free(address);
    json_decref(info);
}
