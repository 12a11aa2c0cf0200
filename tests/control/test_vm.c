/* Two VMs in one process, driven by their monitors. */
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "control/vm_incoming.h"
#include "tests/support/monitored.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "tests/support/tls_pair.h"

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

static void expect_state(struct monitored *m, const char *label, const char *state)
{
    char found[64];

    CHECK(strcmp(monitored_state(m, found), state) == 0, "%s: %s, expected %s", label, found,
          state);
}

static void expect_events(struct monitored *m, const char *label, const char *events)
{
    CHECK(strcmp(m->events, events) == 0, "%s: heard '%s', expected '%s'", label, m->events,
          events);
}

static void set_capability(struct monitored *m, const char *name, bool on)
{
    char arguments[128];

    snprintf(arguments, sizeof(arguments), "{'capabilities': [{'capability': '%s', 'state': %s}]}",
             name, on ? "true" : "false");
    monitored_tell(m, "migrate-set-capabilities", arguments);
}

/* Migrates to a new VM that waits for it; everything succeeds. */
static void migrate_well(struct monitored *source, const char *label)
{
    struct monitored target;
    char to[256];

    monitored_start(&target, &target_config);
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    monitored_forget(source);
    monitored_tell(source, "migrate-set-parameters", FAST);
    monitored_tell(source, "migrate", to);
    monitored_await(source, "MIGRATION completed ");
    expect_events(source, label,
                  "MIGRATION setup MIGRATION active STOP MIGRATION device MIGRATION completed ");
    monitored_await(&target, "MIGRATION completed ");
    expect_state(&target, label, "running/completed");
    monitored_end(&target);
}

/* --- query-migrate's members ----------------------------------------------------------------- */

static const struct member {
    const char *name;
    json_type type;
} top_members[] =
    {
        {"status", JSON_STRING}, {"total-time", JSON_INTEGER}, {"setup-time", JSON_INTEGER},
        {"ram", JSON_OBJECT},    {"channels", JSON_ARRAY},     {NULL, 0},
},
  active_members[] = {{"remaining", JSON_INTEGER}, {NULL, 0}},
  end_members[] = {{"downtime", JSON_INTEGER}, {NULL, 0}},
  ram_members[] = {
      {"transferred", JSON_INTEGER},
      {"remaining", JSON_INTEGER},
      {"total", JSON_INTEGER},
      {"duplicate", JSON_INTEGER},
      {"normal", JSON_INTEGER},
      {"normal-bytes", JSON_INTEGER},
      {"page-size", JSON_INTEGER},
      {"dirty-pages-rate", JSON_INTEGER},
      {"dirty-sync-count", JSON_INTEGER},
      {"dirty-sync-missed-zero-copy", JSON_INTEGER},
      {"mbps", JSON_REAL},
      {"pages-per-second", JSON_INTEGER},
      {"multifd-bytes", JSON_INTEGER},
      {"precopy-bytes", JSON_INTEGER},
      {"downtime-bytes", JSON_INTEGER},
      {"postcopy-bytes", JSON_INTEGER},
      {"postcopy-requests", JSON_INTEGER},
      {NULL, 0},
};

static size_t check_members(const char *label, const json_t *object, const struct member *members)
{
    size_t n = 0;

    for (; members[n].name; n++) {
        const json_t *value = json_object_get(object, members[n].name);

        CHECK(value && json_typeof(value) == members[n].type, "%s: %s: type %d", label,
              members[n].name, value ? (int)json_typeof(value) : -1);
    }
    return n;
}

static json_int_t integer(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void check_completed(struct monitored *source, json_int_t n_channels)
{
    json_t *info = monitored_ask(source, "query-migrate", NULL);
    const json_t *ram = json_object_get(info, "ram");

    size_t n = check_members("completed", info, top_members) +
               check_members("completed", info, end_members);
    CHECK(json_object_size(info) == n, "%zu members, expected %zu", json_object_size(info), n);
    n = check_members("ram", ram, ram_members);
    CHECK(json_object_size(ram) == n, "ram: %zu members, expected %zu", json_object_size(ram), n);
    assert_int_equal(json_array_size(json_object_get(info, "channels")), n_channels);
    assert_int_equal(integer(ram, "total"), 8 * MIB);
    assert_int_equal(integer(ram, "page-size"), 4096);
    assert_int_equal(integer(ram, "remaining"), 0);
    assert_true(integer(ram, "normal") > 0);
    assert_int_equal(integer(ram, "normal-bytes"), integer(ram, "normal") * 4096);
    assert_true(integer(ram, "transferred") > integer(ram, "normal-bytes"));
    CHECK((integer(ram, "multifd-bytes") > 0) == (n_channels > 0), "multifd-bytes");
    json_decref(info);
}

/* --- migrations ------------------------------------------------------------------------------ */

static const struct way_case {
    const char *label, *uri;
    unsigned n_channels;
    bool pinned; /* also at the destination */
} way_cases[] = {
    {"tcp, main only", "tcp:127.0.0.1:0", 0, false},
    {"tcp, 3 channels", "tcp:127.0.0.1:0", 3, false},
    {"unix, 2 channels, both say so", "unix", 2, true},
    {"IPv6", "tcp:[::1]:0", 1, false},
};

static void set_channels(struct monitored *m, unsigned n)
{
    char arguments[64];

    set_capability(m, "multifd", n > 0);
    if (!n)
        return;
    snprintf(arguments, sizeof(arguments), "{'multifd-channels': %u}", n);
    monitored_tell(m, "migrate-set-parameters", arguments);
}

static bool has_ipv6(void)
{
    AUTO_FD int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_storage sa = {.ss_family = AF_INET6};

    ((uint8_t *)&sa)[23] = 1; /* ::1 */
    return fd >= 0 && bind(fd, (struct sockaddr *)&sa, 28) == 0;
}

static void go_one_way(const struct way_case *c)
{
    struct monitored source, target;
    char uri[200], path[PATH_MAX], to[256];

    snprintf(uri, sizeof(uri), strcmp(c->uri, "unix") ? "%.150s" : "unix:%.150s",
             strcmp(c->uri, "unix") ? c->uri : temp_path(path, "way"));
    monitored_start(&source, &source_config);
    monitored_start(&target, &target_config);
    set_channels(&source, c->n_channels);
    if (c->pinned)
        set_channels(&target, c->n_channels);
    expect_state(&source, c->label, "running/");
    expect_state(&target, c->label, "inmigrate/");
    monitored_listen(&target, uri, to);
    expect_state(&target, c->label, "inmigrate/setup");
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "MIGRATION completed ");
    expect_events(&source, c->label,
                  "MIGRATION setup MIGRATION active STOP MIGRATION device MIGRATION completed ");
    monitored_await(&target, "MIGRATION completed ");
    expect_events(&target, c->label,
                  "MIGRATION setup MIGRATION active RESUME MIGRATION completed ");
    expect_state(&source, c->label, "postmigrate/completed");
    expect_state(&target, c->label, "running/completed");
    check_completed(&source, c->n_channels);
    CHECK(source.last_pass >= 2 && target.last_pass == 0, "%s: passes", c->label);
    monitored_refused(&target, "migrate-incoming", "{'uri': 'tcp:127.0.0.1:0'}", "rule I1");
    monitored_refused(&source, "migrate", to, "rule M10");
    monitored_tell(&source, "cont", NULL);
    expect_state(&source, c->label, "running/completed");
    migrate_well(&source, "once more");
    monitored_end(&source);
    monitored_end(&target);
}

static void test_ways(void **state)
{
    (void)state;
    for (const struct way_case *c = way_cases; c < way_cases + ARRAY_LEN(way_cases); c++) {
        if (strchr(c->uri, '[') && !has_ipv6())
            print_message("no ::1 here: %s is left out\n", c->label);
        else
            go_one_way(c);
    }
}

/* Without the capability the only events are the guest's STOP and RESUME; the guest that
 * has arrived runs. */
static void test_no_events(void **state)
{
    struct monitored source, target;
    char to[256], found[64];

    (void)state;
    monitored_start(&source, &source_config);
    monitored_start(&target, &target_config);
    set_capability(&source, "events", false);
    monitored_listen(&target, "tcp::0", to);
    CHECK(strstr(to, "\"0.0.0.0\""), "%s", to);
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "STOP ");
    while (strcmp(monitored_state(&source, found), "postmigrate/completed") != 0)
        ;
    expect_events(&source, "events off", "STOP ");
    assert_int_equal(source.last_pass, 0);
    monitored_await(&target, "MIGRATION completed ");
    migrate_well(&target, "at once, from where it came");
    monitored_end(&source);
    monitored_end(&target);
}

static void test_pre_switchover(void **state)
{
    struct monitored source, target;
    char to[256];

    (void)state;
    monitored_start(&source, &source_config);
    monitored_start(&target, &target_config);
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    set_capability(&source, "pause-before-switchover", true);
    monitored_refused(&source, "migrate-continue", "{'state': 'pre-switchover'}",
                      "no migration runs");
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "pre-switchover ");
    expect_events(&source, "paused",
                  "MIGRATION setup MIGRATION active STOP "
                  "MIGRATION pre-switchover ");
    expect_state(&source, "paused", "finish-migrate/pre-switchover");
    json_t *info = monitored_ask(&source, "query-migrate", NULL);
    check_members("pre-switchover", info, top_members);
    check_members("pre-switchover", info, active_members);
    json_decref(info);
    monitored_refused(&source, "migrate-continue", "{'state': 'active'}",
                      "expected pre-switchover");
    monitored_refused(&source, "migrate", to, "rule M8");
    monitored_refused(&source, "migrate-set-capabilities",
                      "{'capabilities': [{'capability': 'events', 'state': true}]}", "rule C1");
    monitored_tell(&source, "migrate-continue", "{'state': 'pre-switchover'}");
    monitored_await(&source, "MIGRATION completed ");
    monitored_await(&target, "MIGRATION completed ");
    expect_events(&source, "continued",
                  "MIGRATION setup MIGRATION active STOP MIGRATION pre-switchover "
                  "MIGRATION device MIGRATION completed ");
    monitored_end(&source);
    monitored_end(&target);
}

/* The user's stop and cont while a migration has paused the guest. */
static void test_holds(void **state)
{
    struct monitored source, target;
    char to[256];

    (void)state;
    monitored_start(&source, &source_config);
    monitored_start(&target, &target_config);
    monitored_tell(&target, "stop", NULL); /* it must not run after it has arrived */
    expect_state(&target, "to be paused", "inmigrate/");
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    set_capability(&source, "pause-before-switchover", true);
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "pre-switchover ");
    monitored_tell(&source, "stop", NULL);
    expect_state(&source, "stopped twice", "finish-migrate/pre-switchover");
    monitored_tell(&source, "migrate_cancel", NULL);
    monitored_await(&source, "cancelled ");
    expect_state(&source, "the user's stop holds", "paused/cancelled");
    assert_null(strstr(source.events, "RESUME"));
    monitored_tell(&source, "cont", NULL);
    expect_state(&source, "cont", "running/cancelled");
    monitored_await(&target, "MIGRATION failed ");
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    set_capability(&source, "pause-before-switchover", false);
    monitored_tell(&source, "stop", NULL);
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "completed ");
    monitored_await(&target, "completed ");
    expect_state(&source, "a paused guest went", "postmigrate/completed");
    expect_state(&target, "it waits for cont", "paused/completed");
    assert_null(strstr(target.events, "RESUME"));
    monitored_tell(&target, "cont", NULL);
    monitored_await(&target, "RESUME ");
    expect_state(&target, "cont", "running/completed");
    monitored_end(&source);
    monitored_end(&target);
}

/* --- cancel ---------------------------------------------------------------------------------- */

/* A socket whose queue is full: a connect to it waits. */
static int full_socket(char ret_arguments[static 256], int *ret_first)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char path[PATH_MAX];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    unlink(temp_path(path, "full"));
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%.100s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 0), 0);
    *ret_first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(*ret_first, (struct sockaddr *)&sa, sizeof(sa)), 0);
    snprintf(ret_arguments, 256, "{'uri': 'unix:%.100s'}", path);
    return fd;
}

static void test_cancel(void **state)
{
    struct monitored source, target;
    char to[256];
    int first;

    (void)state;
    monitored_start(&source, &busy_config);
    monitored_start(&target, &target_config);
    monitored_tell(&source, "migrate_cancel", NULL);
    expect_state(&source, "nothing to cancel", "running/");

    int full = full_socket(to, &first);
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "setup ");
    expect_state(&source, "in setup", "running/setup");
    monitored_refused(&source, "migrate", to, "rule M8");
    monitored_tell(&source, "migrate_cancel", NULL);
    monitored_await(&source, "cancelled ");
    expect_events(&source, "in setup", "MIGRATION setup MIGRATION cancelling MIGRATION cancelled ");
    expect_state(&source, "cancelled in setup", "running/cancelled");
    fd_close(&first);
    fd_close(&full);

    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    monitored_tell(&source, "migrate-set-parameters", SLOWLY);
    monitored_forget(&source);
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "active ");
    expect_state(&source, "active", "running/active");
    json_t *info = monitored_ask(&source, "query-migrate", NULL);
    check_members("active", info, top_members);
    check_members("active", info, active_members);
    json_decref(info);
    monitored_tell(&source, "migrate_cancel", NULL);
    monitored_await(&source, "cancelled ");
    expect_events(&source, "active",
                  "MIGRATION setup MIGRATION active MIGRATION cancelling MIGRATION cancelled ");
    expect_state(&source, "cancelled while active", "running/cancelled");
    monitored_await(&target, "failed ");
    expect_state(&target, "its destination", "inmigrate/failed");

    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    monitored_tell(&source, "migrate-set-parameters", FAST);
    set_capability(&source, "pause-before-switchover", true);
    monitored_forget(&source);
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "pre-switchover ");
    monitored_tell(&source, "migrate_cancel", NULL);
    monitored_await(&source, "cancelled ");
    expect_events(&source, "pre-switchover",
                  "MIGRATION setup MIGRATION active STOP MIGRATION pre-switchover "
                  "MIGRATION cancelling RESUME MIGRATION cancelled ");
    expect_state(&source, "cancelled in pre-switchover", "running/cancelled");
    set_capability(&source, "pause-before-switchover", false);
    migrate_well(&source, "after three cancels");
    monitored_end(&source);
    monitored_end(&target);
}

/* --- failure --------------------------------------------------------------------------------- */

static void check_failure(struct monitored *m, const char *label, const char *part)
{
    json_t *info = monitored_ask(m, "query-migrate", NULL);
    const char *desc = json_string_value(json_object_get(info, "error-desc"));

    CHECK(desc && strstr(desc, part), "%s: error-desc '%s', expected '%s'", label,
          desc ? desc : "(none)", part);
    json_decref(info);
}

static void test_failure(void **state)
{
    struct monitored source, target;
    char to[256];

    (void)state;
    monitored_start(&source, &source_config);
    monitored_start(&target, &target_config);
    /* Nothing listens there: the command succeeds, the migration fails. */
    monitored_tell(&source, "migrate", "{'uri': 'unix:/nonexistent/vm', 'detach': true}");
    monitored_await(&source, "failed ");
    expect_events(&source, "nobody", "MIGRATION setup MIGRATION failed ");
    expect_state(&source, "nobody", "running/failed");
    check_failure(&source, "nobody", "connect to unix:/nonexistent/vm: No such file");

    /* The destination fails, reports it, and waits for the next migration. */
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    pthread_mutex_lock(&target.lock);
    target.list_error = "no room for it";
    pthread_mutex_unlock(&target.lock);
    monitored_forget(&source);
    monitored_tell(&source, "migrate", to);
    monitored_await(&target, "failed ");
    check_failure(&target, "at the destination", "no room for it");
    expect_state(&target, "at the destination", "inmigrate/failed");
    monitored_await(&source, "MIGRATION failed "); /* active by then, or still in setup */
    expect_state(&source, "the destination has failed", "running/failed");
    assert_int_equal(target.n_over, 0);

    /* An address that cannot be used, or is in use, fails the command. */
    pthread_mutex_lock(&target.lock);
    target.land_error = "the memory is used up";
    pthread_mutex_unlock(&target.lock);
    monitored_refused(&target, "migrate-incoming", "{'uri': 'tcp:127.0.0.1:0'}",
                      "the memory is used up");
    expect_state(&target, "still the old one", "inmigrate/failed");
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    monitored_refused(&target, "migrate-incoming", "{'uri': 'tcp:127.0.0.1:0'}", "rule I2");
    monitored_forget(&source);
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "MIGRATION completed ");
    monitored_await(&target, "MIGRATION completed ");
    expect_state(&target, "the third one", "running/completed");
    assert_int_equal(target.n_targets, 3);
    monitored_end(&source);
    monitored_end(&target);
}

static void test_exit_on_error(void **state)
{
    struct monitored target;

    (void)state;
    monitored_start(&target, &target_config);
    pthread_mutex_lock(&target.lock);
    target.list_error = "no room for it";
    pthread_mutex_unlock(&target.lock);
    char path[PATH_MAX], arguments[256];
    snprintf(arguments, sizeof(arguments), "{'uri': 'unix:%.150s'}", temp_path(path, "exit"));
    monitored_tell(&target, "migrate-incoming", arguments);
    struct monitored source;
    monitored_start(&source, &source_config);
    monitored_tell(&source, "migrate", arguments);
    monitored_await_over(&target);
    CHECK(strstr(target.failure.text, "no room for it"), "%s", target.failure.text);
    monitored_refused(&target, "migrate-incoming", arguments, "about to end");
    monitored_await(&source, "failed ");
    monitored_end(&source);
    monitored_end(&target);
}

/* --- two callers at once --------------------------------------------------------------------- */

#define ATTEMPTS 300

/* Nothing can listen there. The gate refuses a caller while the other's attempt is under way. */
static void *listen_in_vain(void *arg)
{
    struct monitored *m = arg;
    size_t n_wrong = 0;
    struct address at;
    struct error err;

    OK(address_parse("unix:/nonexistent/vm", &at, &err), err, "address");
    for (unsigned n = 0; n < ATTEMPTS;) {
        int rc = vm_incoming(m->vm, &at, 0, false, 0, &err);
        bool refused = rc < 0 && strstr(err.text, "rule I2");

        n += !refused;
        n_wrong += !refused && (rc == 0 || !strstr(err.text, "No such file"));
    }
    return (void *)n_wrong;
}

/* Each failure belongs to its own caller, and what one has freed the other does not touch. */
static void test_two_callers(void **state)
{
    struct monitored target;
    pthread_t other;
    void *n_wrong;

    (void)state;
    monitored_start(&target, &target_config);
    assert_int_equal(pthread_create(&other, NULL, listen_in_vain, &target), 0);
    CHECK(!listen_in_vain(&target), "a wrong answer here");
    assert_int_equal(pthread_join(other, &n_wrong), 0);
    CHECK(!n_wrong, "%zu wrong answers there", (size_t)n_wrong);
    expect_state(&target, "nothing is left of them", "inmigrate/");
    monitored_end(&target);
}

/* --- TLS ------------------------------------------------------------------------------------- */

static void set_credentials(struct monitored *m, const char *name)
{
    char path[PATH_MAX], arguments[PATH_MAX + 32];

    snprintf(arguments, sizeof(arguments), "{'tls-creds': '%s'}", temp_path(path, name));
    monitored_tell(m, "migrate-set-parameters", arguments);
}

/* Certificates, and for each a mismatch: the command fails, or the migration. */
static void test_tls(void **state)
{
    struct monitored source, target;
    char to[256];

    (void)state;
    tls_files();
    monitored_start(&source, &source_config);
    monitored_start(&target, &target_config);
    set_channels(&source, 2);
    set_credentials(&source, "nowhere");
    monitored_refused(&source, "migrate", "{'uri': 'tcp:127.0.0.1:1'}", "ca-cert.pem");
    set_credentials(&target, "nowhere");
    monitored_refused(&target, "migrate-incoming", "{'uri': 'tcp:127.0.0.1:0'}", "ca-cert.pem");
    set_credentials(&target, "good");
    set_credentials(&source, "other");
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "failed ");
    check_failure(&source, "another authority", "certificate");
    expect_state(&target, "another authority", "inmigrate/setup"); /* no known client has come */
    set_credentials(&source, "good");
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "completed ");
    monitored_await(&target, "completed ");
    monitored_end(&source);
    monitored_end(&target);
}

/* --- quit ------------------------------------------------------------------------------------ */

static void test_quit(void **state)
{
    struct monitored source, target;
    char to[256];

    (void)state;
    monitored_start(&source, &busy_config);
    monitored_start(&target, &target_config);
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    monitored_tell(&source, "migrate-set-parameters", SLOWLY);
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "active ");
    monitored_await(&target, "active ");
    monitored_tell(&source, "quit", NULL);
    assert_null(strstr(source.events, "SHUTDOWN")); /* the answer came before the end */
    monitored_await_over(&source);
    assert_int_equal(source.failure.kind, ERR_NONE);
    monitored_await(&source, "SHUTDOWN ");
    monitored_await(&source, "cancelled ");
    monitored_refused(&source, "migrate", to, "about to end");
    monitored_await(&target, "failed ");
    monitored_tell(&target, "quit", NULL);
    monitored_await_over(&target);
    assert_int_equal(target.failure.kind, ERR_NONE);
    monitored_end(&source);
    monitored_end(&target);

    /* A VM that listens, and no source connects. */
    monitored_start(&target, &target_config);
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    monitored_tell(&target, "quit", NULL);
    monitored_await_over(&target);
    monitored_end(&target);

    /* Without quit, in the middle of a migration. */
    monitored_start(&source, &busy_config);
    monitored_start(&target, &target_config);
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    monitored_tell(&source, "migrate-set-parameters", SLOWLY);
    monitored_tell(&source, "migrate", to);
    monitored_await(&target, "active ");
    monitored_end(&source);
    monitored_end(&target);
}

/* --- files ----------------------------------------------------------------------------------- */

/* How the command names a file: the path goes between the two texts. */
static const struct file_case {
    const char *label, *before, *behind;
} file_cases[] = {
    {"a URI", "{'uri': 'file:", ",offset=8192'}"},
    {"a channel",
     "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'file', 'filename': '",
     "', 'offset': 8192}}]}"},
};

static void tell_file(struct monitored *m, const char *command, const struct file_case *c)
{
    char path[PATH_MAX], arguments[PATH_MAX + 256];

    snprintf(arguments, sizeof(arguments), "%s%s%s", c->before, temp_path(path, "vm.stream"),
             c->behind);
    monitored_tell(m, command, arguments);
}

static void expect_no_socket(struct monitored *m, const char *label)
{
    json_t *info = monitored_ask(m, "query-migrate", NULL);

    CHECK(!json_object_get(info, "socket-address"), "%s: a file is a socket", label);
    json_decref(info);
}

/* Saved by one form and loaded by the other: both mean the same place in the file. */
static void test_files(void **state)
{
    struct monitored source, target;
    char path[PATH_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(file_cases); i++) {
        const char *label = file_cases[i].label;

        monitored_start(&source, &source_config);
        tell_file(&source, "migrate", &file_cases[i]);
        monitored_await(&source, "MIGRATION completed ");
        monitored_start(&target, &target_config);
        tell_file(&target, "migrate-incoming", &file_cases[(i + 1) % ARRAY_LEN(file_cases)]);
        monitored_await(&target, "MIGRATION completed ");
        expect_events(&target, label,
                      "MIGRATION setup MIGRATION active RESUME MIGRATION completed ");
        expect_state(&target, label, "running/completed");
        expect_no_socket(&target, label);
        monitored_end(&source);
        monitored_end(&target);
        unlink(temp_path(path, "vm.stream"));
    }
}

/* --- settings -------------------------------------------------------------------------------- */

static void expect_parameter(struct monitored *m, const char *name, const char *value)
{
    json_t *all = monitored_ask(m, "query-migrate-parameters", NULL);
    char *text = json_dumps(json_object_get(all, name), JSON_COMPACT | JSON_ENCODE_ANY);

    CHECK(text && strcmp(text, value) == 0, "%s is %s, expected %s", name, text ? text : "absent",
          value);
    free(text);
    json_decref(all);
}

static const struct parameter_case {
    const char *set, *name, *value;
} parameter_cases[] = {
    {"{}", "downtime-limit", "300"},
    {"{'downtime-limit': 20}", "downtime-limit", "20"},
    {"{'max-bandwidth': 9223372036854775807}", "max-bandwidth", "9223372036854775807"},
    {"{'cpu-throttle-tailslow': true}", "cpu-throttle-tailslow", "true"},
    {"{'multifd-compression': 'zlib', 'multifd-zstd-level': -3}", "multifd-compression",
     "\"zlib\""},
    {"{}", "multifd-zstd-level", "-3"},
    {"{'tls-creds': '/somewhere'}", "tls-creds", "\"/somewhere\""},
    {"{'tls-creds': null}", "tls-creds", "\"\""},
    {"{'cpr-exec-command': []}", "cpr-exec-command", "[]"},
    {"{'cpr-exec-command': ['x', 'a b', '\\u0027', '']}", "cpr-exec-command",
     "[\"x\",\"a b\",\"'\",\"\"]"},
    {"{'mode': 'cpr-exec'}", "mode", "\"cpr-exec\""},
    {"{'mode': 'normal'}", "mode", "\"normal\""},
    {"{}", "direct-io", "false"},
};

static const struct refused_case {
    const char *command, *arguments, *part;
} refused_cases[] = {
    {"migrate-set-parameters", "{'max-bandwidth': '1M'}", "expects a value of type integer"},
    {"migrate-set-parameters", "{'max-bandwidth': -1}", "expects a value of at least 0"},
    {"migrate-set-parameters", "{'max-bandwidth': 1.0}", "expects a value of type integer"},
    {"migrate-set-parameters", "{'downtime-limit': 2000001}", "expected 0 to 2000000"},
    {"migrate-set-parameters", "{'downtime-limit': null}", "expects a value of type integer"},
    {"migrate-set-parameters", "{'multifd-channels': 0}", "expected 1 to 255"},
    {"migrate-set-parameters", "{'multifd-compression': 'lz4'}", "expected none, zlib"},
    {"migrate-set-parameters", "{'tls-creds': 1}", "expects a value of type string"},
    {"migrate-set-parameters", "{'cpu-throttle-tailslow': 1}", "expects a value of type boolean"},
    {"migrate-set-parameters", "{'nonsense': 1}", "Parameter 'nonsense' is unexpected"},
    {"migrate-set-parameters", "{'downtime-limit': 5, 'announce-max': 7}", "rule R5"},
    {"migrate-set-parameters", "{'mode': 'cpr'}", "expected normal, cpr-reboot"},
    {"migrate-set-parameters", "{'cpr-exec-command': 'x'}", "expects a value of type array"},
    {"migrate-set-parameters", "{'cpr-exec-command': ['x', 1]}", "expects strings in its list"},
    {"migrate-set-parameters", "{'block-bitmap-mapping': [{}]}", "rule R5"},
    {"migrate-set-capabilities", "{}", "Parameter 'capabilities' is missing"},
    {"migrate-set-capabilities", "{'capabilities': {}}", "expects a value of type array"},
    {"migrate-set-capabilities", "{'capabilities': [1]}", "expects objects"},
    {"migrate-set-capabilities", "{'capabilities': [{'capability': 'x', 'state': true}]}",
     "there is no 'x'"},
    {"migrate-set-capabilities", "{'capabilities': [{'capability': 'events'}]}",
     "Parameter 'state' is missing"},
    {"migrate-set-capabilities",
     "{'capabilities': [{'capability': 'events', 'state': true, 'x': 1}]}",
     "Parameter 'x' is unexpected"},
    {"migrate-set-capabilities",
     "{'capabilities': [{'capability': 'switchover-ack', 'state': true}, "
     "{'capability': 'return-path', 'state': false}]}",
     "rule C13"},
    {"migrate", "{}", "rule M1"},
    {"migrate", "{'uri': 'tcp:127.0.0.1:1', 'channels': [{}]}", "rule M1"},
    {"migrate", "{'channels': []}", "rule M1"},
    {"migrate", "{'channels': [{}, {}]}", "Parameter 'channel-type' is missing"},
    {"migrate", "{'channels': [{}, {}, {}]}", "rule M1"},
    {"migrate", "{'channels': [1]}", "expects objects"},
    {"migrate", "{'channels': [{'channel-type': 'main'}]}", "Parameter 'addr' is missing"},
    {"migrate", "{'channels': [{'channel-type': 'x', 'addr': {}}]}", "expected main or cpr"},
    {"migrate", "{'channels': [{'channel-type': 'main', 'addr': {}}]}", "expected socket"},
    {"migrate",
     "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'socket', 'type': 'x'}}]}",
     "expected inet, unix or vsock"},
    {"migrate",
     "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'socket', 'type': 'inet', "
     "'host': 'h', 'port': 1}}]}",
     "Parameter 'port' expects a value of type string"},
    {"migrate",
     "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'socket', 'type': 'unix', "
     "'path': 'p', 'host': 'h'}}]}",
     "Parameter 'host' is unexpected"},
    {"migrate", "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'exec'}}]}",
     "expected socket or file"},
    {"migrate",
     "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'file', 'filename': '/x'}}]}",
     "Parameter 'offset' is missing"},
    {"migrate",
     "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'file', 'offset': 0}}]}",
     "Parameter 'filename' is missing"},
    {"migrate",
     "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'file', 'filename': '/x', "
     "'offset': '1'}}]}",
     "Parameter 'offset' expects a value of type integer"},
    {"migrate",
     "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'file', 'filename': '/x', "
     "'offset': -1}}]}",
     "Parameter 'offset': -1"},
    {"migrate",
     "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'file', 'filename': '', "
     "'offset': 0}}]}",
     "expected file:PATH"},
    {"migrate",
     "{'channels': [{'channel-type': 'main', 'addr': {'transport': 'file', "
     "'filename': '/a,offset=b', 'offset': 0}}]}",
     "offset 'b,offset=0': expected bytes"},
    {"migrate", "{'uri': 'nowhere'}", "expected tcp:HOST:PORT"},
    {"migrate", "{'uri': 'fd:3'}", "a monitor names no descriptors"},
    {"migrate", "{'uri': 'exec:cat'}", "expected tcp:HOST:PORT"},
    {"migrate", "{'uri': 'tcp:127.0.0.1:1', 'resume': true}", "rule M17"},
    {"migrate", "{'uri': 'tcp:127.0.0.1:1', 'blk': true}", "Parameter 'blk' is unexpected"},
    {"migrate-incoming", "{'uri': 'tcp:127.0.0.1:0'}", "rule I1"},
    {"migrate-continue", "{'state': 'device'}", "expected pre-switchover"},
    {"stop", "{'x': 1}", "Parameter 'x' is unexpected"},
    {"calc-dirty-rate", "{}", "Parameter 'calc-time' is missing"},
    {"calc-dirty-rate", "{'calc-time': 61}", "expects 50 to 60000 ms"},
    {"calc-dirty-rate", "{'calc-time': 49, 'calc-time-unit': 'millisecond'}",
     "expects 50 to 60000 ms"},
    {"calc-dirty-rate", "{'calc-time': 9223372036854775807}", "expects 50 to 60000 ms"},
    {"calc-dirty-rate", "{'calc-time': 1, 'calc-time-unit': 'hour'}", "expected second"},
    {"calc-dirty-rate", "{'calc-time': 1, 'mode': 'dirty-ring'}", "expected page-sampling"},
    {"calc-dirty-rate", "{'calc-time': 1, 'sample-pages': 1}", "expects 128 to 16384"},
    {"calc-dirty-rate", "{'calc-time': 1, 'mode': 'dirty-bitmap', 'sample-pages': 128}",
     "is for mode page-sampling"},
};

static void test_settings(void **state)
{
    struct monitored m;

    (void)state;
    monitored_start(&m, &source_config);
    for (size_t i = 0; i < ARRAY_LEN(parameter_cases); i++) {
        const struct parameter_case *c = &parameter_cases[i];

        monitored_tell(&m, "migrate-set-parameters", c->set);
        expect_parameter(&m, c->name, c->value);
    }
    for (size_t i = 0; i < ARRAY_LEN(refused_cases); i++)
        monitored_refused(&m, refused_cases[i].command, refused_cases[i].arguments,
                          refused_cases[i].part);
    expect_parameter(&m, "downtime-limit", "20"); /* all or nothing */
    json_t *all = monitored_ask(&m, "query-migrate-parameters", NULL);
    assert_int_equal(json_object_size(all), 30);
    json_decref(all);
    all = monitored_ask(&m, "query-migrate-capabilities", NULL);
    assert_int_equal(json_array_size(all), 21);
    json_decref(all);
    monitored_end(&m);
}

/* Settings that may change during a migration take effect at once; the others are refused. */
static void test_live_settings(void **state)
{
    struct monitored source, target;
    char to[256];

    (void)state;
    monitored_start(&source, &busy_config);
    monitored_start(&target, &target_config);
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    monitored_refused(&target, "migrate-set-capabilities",
                      "{'capabilities': [{'capability': 'multifd', 'state': true}]}", "rule C9");
    monitored_tell(&source, "migrate-set-parameters", SLOWLY);
    monitored_tell(&source, "migrate", to);
    monitored_await(&source, "active ");
    monitored_await(&target, "active ");
    monitored_refused(&source, "migrate-set-parameters", "{'multifd-channels': 4}", "rule R3");
    monitored_refused(&source, "migrate-set-parameters", "{'tls-creds': '/x'}", "rule R3");
    monitored_refused(&target, "migrate-set-capabilities",
                      "{'capabilities': [{'capability': "
                      "'events', 'state': false}]}",
                      "rule C1");
    expect_state(&source, "it does not converge", "running/active");
    monitored_tell(&source, "migrate-set-parameters", FAST);
    monitored_await(&source, "completed ");
    monitored_await(&target, "completed ");
    monitored_end(&source);
    monitored_end(&target);
}

/* --- the rest -------------------------------------------------------------------------------- */

#define UUID "0c2f6a5e-8f7b-4f4b-9a5d-1f6d6c0a7e11"

static void test_run_states(void **state)
{
    struct monitored_config config = source_config;
    struct monitored m;

    (void)state;
    config.paused = true;
    config.uuid = UUID;
    monitored_start(&m, &config);
    expect_state(&m, "not started", "prelaunch/");
    monitored_tell(&m, "stop", NULL);
    expect_state(&m, "not started", "prelaunch/");
    monitored_tell(&m, "cont", NULL);
    expect_state(&m, "cont", "running/");
    monitored_tell(&m, "cont", NULL);
    monitored_tell(&m, "stop", NULL);
    monitored_tell(&m, "stop", NULL);
    expect_state(&m, "stop", "paused/");
    expect_events(&m, "each once", "RESUME STOP ");
    json_t *answer = monitored_ask(&m, "query-name", NULL);
    assert_string_equal(json_string_value(json_object_get(answer, "name")), "source");
    json_decref(answer);
    answer = monitored_ask(&m, "query-uuid", NULL);
    assert_string_equal(json_string_value(json_object_get(answer, "UUID")), UUID);
    json_decref(answer);
    answer = monitored_ask(&m, "query-memory-size-summary", NULL);
    assert_int_equal(integer(answer, "base-memory"), config.bytes);
    json_decref(answer);
    answer = monitored_ask(&m, "query-migrate", NULL);
    assert_int_equal(json_object_size(answer), 0);
    json_decref(answer);
    monitored_end(&m);
}

/* A UUID that both ends know must be the same; an end without a UUID accepts any. */
static void test_uuid(void **state)
{
    static const struct {
        const char *label, *source, *target, *status;
        bool validate;
    } cases[] = {
        {"not said", UUID, UUID, "completed ", false},
        {"said", UUID, UUID, "completed ", true},
        {"another", "0c2f6a5e-8f7b-4f4b-9a5d-1f6d6c0a7e12", UUID, "failed ", true},
        {"none here", UUID, NULL, "completed ", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct monitored_config from = source_config, at = target_config;
        struct monitored source, target;
        char to[256];

        from.uuid = cases[i].source;
        at.uuid = cases[i].target;
        monitored_start(&source, &from);
        monitored_start(&target, &at);
        monitored_listen(&target, "tcp:127.0.0.1:0", to);
        set_capability(&source, "validate-uuid", cases[i].validate);
        monitored_tell(&source, "migrate", to);
        monitored_await(&target, cases[i].status);
        monitored_end(&source);
        monitored_end(&target);
    }
}

static json_t *measured(struct monitored *m)
{
    for (;;) {
        json_t *rate = monitored_ask(m, "query-dirty-rate", "{'calc-time-unit': 'millisecond'}");
        const char *status = json_string_value(json_object_get(rate, "status"));

        if (strcmp(status, "measuring") != 0)
            return rate;
        json_decref(rate);
        usleep(1000); /* there is no event to wait for */
    }
}

static void test_dirty_rate(void **state)
{
    static const char *const modes[] = {"page-sampling", "dirty-bitmap"};
    struct monitored m, target;
    char arguments[128], to[256];

    (void)state;
    monitored_start(&m, &busy_config);
    json_t *rate = monitored_ask(&m, "query-dirty-rate", NULL);
    assert_string_equal(json_string_value(json_object_get(rate, "status")), "unstarted");
    assert_null(json_object_get(rate, "dirty-rate"));
    json_decref(rate);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        snprintf(arguments, sizeof(arguments),
                 "{'calc-time': 100, 'calc-time-unit': 'millisecond', 'mode': '%s'}", modes[i]);
        monitored_tell(&m, "calc-dirty-rate", arguments);
        monitored_refused(&m, "calc-dirty-rate", arguments, "a measurement runs already");
        rate = measured(&m);
        assert_string_equal(json_string_value(json_object_get(rate, "status")), "measured");
        assert_string_equal(json_string_value(json_object_get(rate, "mode")), modes[i]);
        assert_int_equal(integer(rate, "calc-time"), 100);
        CHECK(integer(rate, "dirty-rate") > 10 && integer(rate, "dirty-rate") <= 400,
              "%s: %d MB/s, written 200", modes[i], (int)integer(rate, "dirty-rate"));
        json_decref(rate);
    }
    /* A migration takes the dirty log away from a measurement. */
    monitored_start(&target, &target_config);
    monitored_listen(&target, "tcp:127.0.0.1:0", to);
    monitored_tell(&m, "calc-dirty-rate", "{'calc-time': 60, 'mode': 'dirty-bitmap'}");
    monitored_tell(&m, "migrate-set-parameters", SLOWLY);
    monitored_tell(&m, "migrate", to);
    rate = measured(&m);
    assert_string_equal(json_string_value(json_object_get(rate, "status")), "measured");
    json_decref(rate);
    monitored_refused(&m, "calc-dirty-rate", "{'calc-time': 1, 'mode': 'dirty-bitmap'}",
                      "a migration has the dirty log");
    monitored_tell(&m, "calc-dirty-rate", "{'calc-time': 60}"); /* the VM's end interrupts it */
    monitored_end(&m);
    monitored_end(&target);
}

/* A measurement that cannot start leaves the last one's answer. */
static void test_dirty_rate_refused(void **state)
{
    static const struct monitored_config still_config = {.name = "still", .bytes = 8 * MIB};
    struct monitored m;

    (void)state;
    monitored_start(&m, &still_config); /* it writes nothing, and has no dirty log */
    monitored_tell(&m, "calc-dirty-rate", "{'calc-time': 50, 'calc-time-unit': 'millisecond'}");
    json_decref(measured(&m));
    monitored_refused(&m, "calc-dirty-rate", "{'calc-time': 1, 'mode': 'dirty-bitmap'}",
                      "dirty log");
    json_t *rate = monitored_ask(&m, "query-dirty-rate", NULL);
    assert_string_equal(json_string_value(json_object_get(rate, "status")), "measured");
    json_decref(rate);
    monitored_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_no_events),
        cmocka_unit_test(test_pre_switchover),
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_exit_on_error),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_quit),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_live_settings),
        cmocka_unit_test(test_run_states),
        cmocka_unit_test(test_uuid),
        cmocka_unit_test(test_dirty_rate),
        cmocka_unit_test(test_two_callers),
        cmocka_unit_test(test_dirty_rate_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
