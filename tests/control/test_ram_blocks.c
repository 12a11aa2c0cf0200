/* RAM blocks in migrations, and memory backends, queried and changed at any moment. */
#include <inttypes.h>
#include <unistd.h>

#include "tests/support/held_source.h"
#include "tests/support/monitored.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

#define MIB (UINT64_C(1) << 20)

static const struct monitored_config source_config = {
    .name = "source", .bytes = 8 * MIB, .dirty_bytes_per_s = 2 * MIB};
static const struct monitored_config target_config = {
    .name = "target", .bytes = 8 * MIB, .waiting = true};
/* It writes faster than it may be sent: the migration stays active until that changes. */
static const struct monitored_config busy_config = {
    .name = "source", .bytes = 32 * MIB, .dirty_bytes_per_s = 200 * MIB};
#define SLOWLY "{'max-bandwidth': 1048576}"
#define FAST   "{'max-bandwidth': 0, 'downtime-limit': 2000000}"

#define SET_OFF "{'name': 'pc.ram', 'migratable': false}"
#define SET_ON  "{'name': 'pc.ram', 'migratable': true}"

/* --- queries --------------------------------------------------------------------------------- */

static bool is_migratable(struct monitored *m, const char *name)
{
    char arguments[64];

    snprintf(arguments, sizeof(arguments), "{'name': '%s'}", name);
    json_t *answer = monitored_ask(m, "ram-block-get-migratable", arguments);
    bool migratable = json_is_true(json_object_get(answer, "migratable"));
    assert_string_equal(json_string_value(json_object_get(answer, "name")), name);
    json_decref(answer);
    return migratable;
}

/* Returns the backend's row of query-memory-backends, or NULL. The caller frees it. */
static json_t *backend(struct monitored *m, const char *id)
{
    json_t *list = monitored_ask(m, "query-memory-backends", NULL), *row, *found = NULL;
    size_t i;

    json_array_foreach(list, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "id")), id) == 0)
            found = json_incref(row);
    }
    json_decref(list);
    return found;
}

/* Refused as BUSY by this rule, and nothing has changed. */
static void check_busy(struct monitored *m, const char *label, const char *rule)
{
    monitored_refused(m, "ram-block-set-migratable", SET_OFF, rule);
    monitored_refused(m, "ram-block-set-migratable", SET_ON, rule);
    CHECK(is_migratable(m, "pc.ram"), "%s: it was changed", label);
}

/* The change is allowed, and happens. */
static void check_free(struct monitored *m, const char *label)
{
    monitored_tell(m, "ram-block-set-migratable", SET_OFF);
    CHECK(!is_migratable(m, "pc.ram"), "%s: it was not changed", label);
    monitored_tell(m, "ram-block-set-migratable", SET_ON);
    CHECK(is_migratable(m, "pc.ram"), "%s: it was not changed back", label);
}

/* --- a migration that stops at a chosen point ------------------------------------------------ */

struct trial {
    struct monitored source, target;
    struct held_source held;
    char to[256];
};

static void trial_start(struct trial *t)
{
    monitored_start(&t->source, &busy_config);
    monitored_start(&t->target, &target_config);
    monitored_listen(&t->target, "tcp:127.0.0.1:0", t->to);
    monitored_tell(&t->source, "migrate-set-parameters", SLOWLY);
    held_source_init(&t->held, t->source.machine->dirty);
    t->source.machine->dirty = &t->held.base;
}

static void trial_end(struct trial *t)
{
    monitored_end(&t->source);
    monitored_end(&t->target);
    held_source_done(&t->held);
}

static void when_accepted(struct trial *t)
{
    held_source_hold(&t->held, HELD_AT_START);
    monitored_tell(&t->source, "migrate", t->to);
    check_busy(&t->source, "accepted", "rule B9");
    held_source_hold(&t->held, HELD_NOWHERE);
}

static void when_active(struct trial *t)
{
    monitored_tell(&t->source, "migrate", t->to);
    monitored_await(&t->source, "active ");
}

static void when_stopped(struct trial *t)
{
    monitored_tell(&t->source, "migrate-set-capabilities",
                   "{'capabilities': [{'capability': 'pause-before-switchover', 'state': true}]}");
    monitored_tell(&t->source, "migrate-set-parameters", FAST);
    monitored_tell(&t->source, "migrate", t->to);
    monitored_await(&t->source, "pre-switchover ");
}

static void when_cancelling(struct trial *t)
{
    held_source_hold(&t->held, HELD_AT_STOP);
    when_active(t);
    monitored_tell(&t->source, "migrate_cancel", NULL);
    monitored_await(&t->source, "cancelling ");
    held_source_await(&t->held, HELD_AT_STOP);
}

static void when_failing(struct trial *t)
{
    held_source_hold(&t->held, HELD_AT_STOP);
    monitored_tell(&t->source, "migrate", "{'uri': 'unix:/nonexistent/vm'}");
    held_source_await(&t->held, HELD_AT_STOP);
}

static const struct phase {
    const char *label;
    void (*reach)(struct trial *t);
    const char *end; /* the event at its end after it was cancelled */
} phases[] = {
    {"accepted", when_accepted, "cancelled "}, {"active", when_active, "cancelled "},
    {"stopped", when_stopped, "cancelled "},   {"cancelling", when_cancelling, "cancelled "},
    {"failing", when_failing, "failed "},
};

/* B8, B9: no change is allowed from acceptance to the real end of the migration. */
static void frozen_until_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
        struct trial t;

        trial_start(&t);
        check_free(&t.source, "before");
        phases[i].reach(&t);
        check_busy(&t.source, phases[i].label, "rule B9");
        monitored_tell(&t.source, "migrate_cancel", NULL);
        held_source_hold(&t.held, HELD_NOWHERE);
        monitored_await(&t.source, phases[i].end);
        check_free(&t.source, phases[i].label);
        trial_end(&t);
    }
}

/* B10: a waiting destination cannot be changed either, whether it listens or not. */
static void destinations_keep_theirs(void **state)
{
    struct monitored source, target;
    char to[256];

    (void)state;
    monitored_start(&source, &busy_config);
    monitored_start(&target, &target_config);
    check_busy(&target, "it waits", "rule B10");
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    check_busy(&target, "it listens", "rule B9");
    monitored_tell(&source, "migrate-set-parameters", SLOWLY);
    monitored_tell(&source, "migrate", to);
    monitored_await(&target, "active ");
    check_busy(&target, "one comes", "rule B9");
    monitored_tell(&source, "migrate_cancel", NULL);
    monitored_await(&target, "failed ");
    check_busy(&target, "it waits on", "rule B10");
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    monitored_tell(&source, "migrate-set-parameters", FAST);
    monitored_await(&source, "cancelled ");
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "MIGRATION completed ");
    monitored_await(&target, "MIGRATION completed ");
    check_free(&target, "it has come");
    check_free(&source, "it has gone");
    monitored_end(&source);
    monitored_end(&target);
}

/* --- a VM ends during a migration ------------------------------------------------------------ */

/* The migration's thread ends before the VM's memory is freed. */
static struct guarded {
    struct machine_ops ops;
    const struct machine_ops *inner;
    struct held_source *held;
} guarded;

static void guarded_free(struct machine *m)
{
    CHECK(held_source_stopped(guarded.held) > 0, "memory is freed under a migration");
    m->ops = guarded.inner;
    machine_free(m);
}

static void guard(struct trial *t)
{
    guarded = (struct guarded){*t->source.machine->ops, t->source.machine->ops, &t->held};
    guarded.ops.free = guarded_free;
    t->source.machine->ops = &guarded.ops;
}

static void *let_go(void *arg)
{
    struct trial *t = arg;

    held_source_hold(&t->held, HELD_NOWHERE);
    return NULL;
}

/* Quit while cancelling: the end is reported after the thread has ended, not before. */
static void quit_while_cancelling(void **state)
{
    struct trial t;

    (void)state;
    trial_start(&t);
    guard(&t);
    when_cancelling(&t);
    monitored_tell(&t.source, "quit", NULL);
    monitored_await(&t.source, "SHUTDOWN ");
    monitored_refused(&t.source, "migrate", t.to, "about to end");
    check_busy(&t.source, "quitting", "rule B9");
    pthread_mutex_lock(&t.source.lock);
    CHECK(t.source.n_over == 0, "over while the migration's thread is at work");
    pthread_mutex_unlock(&t.source.lock);
    held_source_hold(&t.held, HELD_NOWHERE);
    monitored_await_over(&t.source);
    trial_end(&t);
}

/* Without quit, the VM's end waits for the thread. */
static void end_while_cancelling(void **state)
{
    pthread_t thread;
    struct trial t;

    (void)state;
    trial_start(&t);
    guard(&t);
    when_cancelling(&t);
    assert_int_equal(pthread_create(&thread, NULL, let_go, &t), 0);
    monitored_end(&t.source);
    monitored_end(&t.target);
    pthread_join(thread, NULL);
    held_source_done(&t.held);
}

/* --- backends -------------------------------------------------------------------------------- */

#define ADD_RAM "{'qom-type': 'memory-backend-ram', 'id': 'extra', 'size': 4194304}"

/* B12: memory backends can be added and deleted during a migration, at both ends. */
static void backends_come_and_go(void **state)
{
    struct trial t;

    (void)state;
    trial_start(&t);
    monitored_tell(&t.source, "object-add", ADD_RAM);
    monitored_tell(&t.target, "object-add", ADD_RAM);
    when_active(&t);
    monitored_await(&t.target, "active ");
    for (unsigned i = 0; i < 3; i++) {
        monitored_tell(&t.source, "object-del", "{'id': 'extra'}");
        monitored_tell(&t.target, "object-del", "{'id': 'extra'}");
        monitored_refused(&t.source, "object-del", "{'id': 'extra'}", "there is no memory backend");
        monitored_tell(&t.source, "object-add", ADD_RAM);
        monitored_tell(&t.target, "object-add", ADD_RAM);
    }
    monitored_refused(&t.source, "object-del", "{'id': 'pc.ram'}", "in use");
    monitored_refused(&t.target, "object-del", "{'id': 'pc.ram'}", "in use");
    monitored_tell(&t.source, "migrate-set-parameters", FAST);
    monitored_await(&t.source, "MIGRATION completed ");
    monitored_await(&t.target, "MIGRATION completed ");
    monitored_tell(&t.target, "object-del", "{'id': 'extra'}");
    trial_end(&t);
}

/* B1: a backend that is not mapped is not migratable, and cannot be made migratable. */
static void unmapped_ones_stay(void **state)
{
    struct monitored m;

    (void)state;
    monitored_start(&m, &source_config);
    monitored_tell(&m, "object-add", ADD_RAM);
    assert_false(is_migratable(&m, "extra"));
    monitored_refused(&m, "ram-block-set-migratable", "{'name': 'extra', 'migratable': true}",
                      "rule B1");
    monitored_tell(&m, "ram-block-set-migratable", "{'name': 'extra', 'migratable': false}");
    monitored_refused(&m, "object-add",
                      "{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': 4096, "
                      "'migratable': true}",
                      "rule B1");
    monitored_refused(&m, "ram-block-get-migratable", "{'name': 'nobody'}",
                      "there is no RAM block 'nobody'");
    monitored_refused(&m, "ram-block-set-migratable", "{'name': 'nobody', 'migratable': true}",
                      "there is no RAM block 'nobody'");
    monitored_end(&m);
}

static const struct shape_case {
    const char *label, *properties, *kind;
    json_int_t page_bytes;
    bool share;
} shape_cases[] = {
    {"ram", "'qom-type': 'memory-backend-ram'", "anon", 4096, false},
    {"ram, shared", "'qom-type': 'memory-backend-ram', 'share': true", "anon", 4096, true},
    {"memfd", "'qom-type': 'memory-backend-memfd'", "memfd", 4096, true},
    {"memfd, private", "'qom-type': 'memory-backend-memfd', 'share': false", "memfd", 4096, false},
    {"file", "'qom-type': 'memory-backend-file', 'mem-path': 'PATH'", "file", 4096, false},
    {"file, shared", "'share': true, 'qom-type': 'memory-backend-file', 'mem-path': 'PATH'", "file",
     4096, true},
};

static void check_shape(struct monitored *m, const struct shape_case *c)
{
    char path[PATH_MAX], text[PATH_MAX + 200];
    const char *hole = strstr(c->properties, "PATH");
    int head = hole ? (int)(hole - c->properties) : (int)strlen(c->properties);

    unlink(temp_path(path, "backend"));
    snprintf(text, sizeof(text), "{'id': 'b', 'size': 1048576, 'migratable': false, %.*s%s%s}",
             head, c->properties, hole ? path : "", hole ? hole + 4 : "");
    monitored_tell(m, "object-add", text);
    json_t *row = backend(m, "b");
    CHECK(row, "%s: it is not listed", c->label);
    CHECK(strcmp(json_string_value(json_object_get(row, "kind")), c->kind) == 0, "%s: kind",
          c->label);
    CHECK(json_is_true(json_object_get(row, "share")) == c->share, "%s: share", c->label);
    CHECK(json_is_false(json_object_get(row, "migratable")), "%s: migratable", c->label);
    CHECK(json_is_false(json_object_get(row, "mapped")), "%s: mapped", c->label);
    CHECK(!json_object_get(row, "addr"), "%s: addr", c->label);
    CHECK(json_integer_value(json_object_get(row, "size")) == (json_int_t)MIB, "%s: size",
          c->label);
    CHECK(json_integer_value(json_object_get(row, "page-size")) == c->page_bytes, "%s: pages",
          c->label);
    json_decref(row);
    monitored_tell(m, "object-del", "{'id': 'b'}");
    CHECK(!backend(m, "b"), "%s: it is still listed", c->label);
    CHECK(!hole || access(path, F_OK) == 0, "%s: its file has gone", c->label);
}

static const struct bad_case {
    const char *arguments, *part;
} bad_cases[] = {
    {"{}", "Parameter 'qom-type' is missing"},
    {"{'qom-type': 'memory-backend-ram'}", "id is missing"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b'}", "size is missing"},
    {"{'qom-type': 'memory-backend-epc', 'id': 'b', 'size': 4096}", "expected memory-backend-ram"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': '4096'}",
     "Parameter 'size' expects a value of type integer"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': -1}", "size"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': 0}", "multiple of 4096"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': 4097}", "multiple of 4096"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': 9223372036854775807}",
     "at most 64 TiB"},
    {"{'qom-type': 'memory-backend-ram', 'id': '1', 'size': 4096}", "a letter first"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'a b', 'size': 4096}", "a letter first"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'pc.ram', 'size': 4096}", "of this id already"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': 4096, 'addr': 0}",
     "Parameter 'addr' is unexpected"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': 4096, 'mem-path': '/x'}", "mem-path"},
    {"{'qom-type': 'memory-backend-file', 'id': 'b', 'size': 4096}", "mem-path"},
    {"{'qom-type': 'memory-backend-file', 'id': 'b', 'size': 4096, 'mem-path': '/dev/null'}",
     "not a regular file"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': 4096, 'hugetlb': true}",
     "hugetlb is for memory-backend-memfd"},
    {"{'qom-type': 'memory-backend-memfd', 'id': 'b', 'size': 4096, 'hugetlbsize': 2097152}",
     "for huge pages"},
    {"{'qom-type': 'memory-backend-memfd', 'id': 'b', 'size': 4096, 'hugetlb': true, "
     "'hugetlbsize': 4096}",
     "expected 2M or 1G"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': 4096, 'host-nodes': [0]}",
     "belong together"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': 4096, 'host-nodes': [-1], "
     "'policy': 'bind'}",
     "numbers of NUMA nodes"},
    {"{'qom-type': 'memory-backend-ram', 'id': 'b', 'size': 4096, 'policy': 'interleave'}",
     "expected bind"},
};

static void backends_by_qemus_names(void **state)
{
    struct monitored m;

    (void)state;
    monitored_start(&m, &source_config);
    for (size_t i = 0; i < ARRAY_LEN(shape_cases); i++)
        check_shape(&m, &shape_cases[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        monitored_refused(&m, "object-add", bad_cases[i].arguments, bad_cases[i].part);
        assert_null(backend(&m, "b"));
    }
    json_t *row = backend(&m, "pc.ram");
    assert_true(json_is_true(json_object_get(row, "mapped")));
    assert_true(json_is_true(json_object_get(row, "migratable")));
    assert_int_equal(json_integer_value(json_object_get(row, "addr")), 0);
    json_decref(row);
    json_t *list = monitored_ask(&m, "query-memdev", NULL);
    json_t *first = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(first, "id")), "pc.ram");
    assert_string_equal(json_string_value(json_object_get(first, "policy")), "default");
    assert_int_equal(json_object_size(first), 8);
    json_decref(list);
    monitored_end(&m);
}

/* There is a limit on the number of backends that a client may add. */
static void not_without_end(void **state)
{
    struct monitored m;
    char text[128];

    (void)state;
    monitored_start(&m, &source_config);
    for (unsigned i = 0; i < MEMORY_BACKENDS_MAX; i++) {
        snprintf(text, sizeof(text),
                 "{'qom-type': 'memory-backend-ram', 'id': 'm%u', 'size': 4096}", i);
        if (i + 1 < MEMORY_BACKENDS_MAX)
            monitored_tell(&m, "object-add", text);
        else
            monitored_refused(&m, "object-add", text, "the most that there can be");
    }
    monitored_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frozen_until_the_end),    cmocka_unit_test(destinations_keep_theirs),
        cmocka_unit_test(quit_while_cancelling),   cmocka_unit_test(end_while_cancelling),
        cmocka_unit_test(backends_come_and_go),    cmocka_unit_test(unmapped_ones_stay),
        cmocka_unit_test(backends_by_qemus_names), cmocka_unit_test(not_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
