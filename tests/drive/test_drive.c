/* Two VMs in this process, and a drive between their monitors, as another program would have it. */
#include "drive/drive.h"

#include "tests/support/monitored.h"
#include "tests/support/test.h"

#define MIB (UINT64_C(1) << 20)

static const struct monitored_config source_config = {
    .name = "source", .bytes = 8 * MIB, .dirty_bytes_per_s = 2 * MIB};
static const struct monitored_config target_config = {
    .name = "target", .bytes = 8 * MIB, .waiting = true};
/* With `slow` it writes faster than it may be sent: the migration does not end by itself. */
static const struct monitored_config busy_config = {
    .name = "source", .bytes = 8 * MIB, .dirty_bytes_per_s = 200 * MIB};

static struct drive_config patient(void)
{
    struct drive_config c;

    drive_config_init(&c);
    c.connect_timeout_ms = c.stall_timeout_ms = HANG_MS;
    c.settings.parameters[PARAM_MAX_BANDWIDTH].number = 0;
    return c;
}

static struct drive_config slow(void)
{
    struct drive_config c = patient();

    c.settings.parameters[PARAM_MAX_BANDWIDTH].number = MIB;
    return c;
}

struct seen {
    struct drive *cancel; /* at the first look; NULL: nothing is cancelled */
    unsigned looks, ends;
};

static void watch(void *arg, json_t *migration)
{
    struct seen *seen = arg;

    CHECK(seen->ends == 0, "watched after the end");
    if (!migration) {
        seen->ends++;
        return;
    }
    CHECK(json_is_object(migration), "no answer to query-migrate");
    seen->looks++;
    if (seen->cancel)
        drive_cancel(seen->cancel);
}

/* Its own defaults are enough: TO listens at the loopback. */
static void moves(void **state)
{
    struct drive_config config = patient();
    struct monitored from, to;
    struct drive_result result;
    struct seen seen = {0};
    struct drive *d;
    struct error err;
    char found[64];

    (void)state;
    monitored_start(&from, &source_config);
    monitored_start(&to, &target_config);
    config.watch = watch;
    config.arg = &seen;
    OK(drive_open(from.address, to.address, &config, &d, &err), err, "open");
    CHECK(!drive_result(d, &result), "a result before anything was done");
    OK(drive_run(d, &err), err, "run");
    CHECK(seen.ends == 1, "%u ends", seen.ends);
    CHECK(drive_result(d, &result), "no result");
    assert_string_equal(json_string_value(json_object_get(result.migration, "status")),
                        "completed");
    CHECK(!result.guest && strncmp(result.uri, "tcp:127.0.0.1:", 14) == 0, "at %s", result.uri);
    assert_string_equal(result.from, from.address);
    assert_string_equal(result.to, to.address);
    assert_string_equal(result.from_state, "postmigrate");
    assert_string_equal(result.to_state, "running");
    drive_free(d);
    monitored_await(&to, "MIGRATION completed ");
    assert_string_equal(monitored_state(&to, found), "running/completed");
    monitored_end(&from);
    monitored_end(&to);
}

/* The guest stays, and what the error says is what the VMs say. */
static void check_stopped(struct drive_config *config, bool cancel, enum remedy remedy,
                          const char *why)
{
    struct monitored from, to;
    struct seen seen = {0};
    struct drive *d;
    struct error err;

    monitored_start(&from, &busy_config);
    monitored_start(&to, &target_config);
    config->watch = watch;
    config->arg = &seen;
    OK(drive_open(from.address, to.address, config, &d, &err), err, "open");
    seen.cancel = cancel ? d : NULL;
    check_refused(why, drive_run(d, &err), &err, ERR_CANCELLED, why);
    CHECK(err.remedy == remedy && !strstr(err.text, "--"), "remedy %d: %s", err.remedy, err.text);
    CHECK(strstr(err.text, "; the guest is running at FROM; TO is "), "where it is: %s", err.text);
    CHECK(seen.looks > 0 && seen.ends == 1, "%u looks, %u ends", seen.looks, seen.ends);
    drive_free(d);
    monitored_end(&from);
    monitored_end(&to);
}

static void stops(void **state)
{
    struct drive_config config = slow();

    (void)state;
    check_stopped(&config, true, REMEDY_NONE, "cancelled");
    config = slow();
    config.limit_ms = 1;
    check_stopped(&config, false, REMEDY_TIME_LIMIT, "cancelled: it took too long");
}

static void check_not_opened(const char *label, const char *from, const char *to,
                             const struct drive_config *config, enum err_kind kind,
                             enum remedy remedy, const char *text)
{
    struct drive *d = NULL;
    struct error err;

    check_refused(label, drive_open(from, to, config, &d, &err), &err, kind, text);
    CHECK(!d && err.remedy == remedy && !strstr(err.text, "--"), "%s: remedy %d: %s", label,
          err.remedy, err.text);
}

static void refuses(void **state)
{
    struct drive_config config = patient();
    struct monitored from, to;
    char ignored[256];

    (void)state;
    monitored_start(&from, &source_config);
    monitored_start(&to, &target_config);
    check_not_opened("one VM", from.address, from.address, &config, ERR_USAGE, REMEDY_NONE,
                     "the same monitor");
    check_not_opened("no monitor", "unix:/nowhere", to.address, &config, ERR_SYSTEM, REMEDY_NONE,
                     "FROM: ");
    check_not_opened("the wrong way round", to.address, from.address, &config, ERR_USAGE,
                     REMEDY_NONE, "FROM waits for a migration itself");
    monitored_tell(&to, "migrate-set-capabilities",
                   "{'capabilities': [{'capability': 'x-ignore-shared', 'state': true}]}");
    check_not_opened("not alike", from.address, to.address, &config, ERR_USAGE, REMEDY_SET_BOTH,
                     "x-ignore-shared is on at TO and off at FROM");
    monitored_listen(&to, "tcp:127.0.0.1:0", ignored);
    config.listen_host = "127.0.0.1";
    check_not_opened("it listens", from.address, to.address, &config, ERR_USAGE, REMEDY_NO_LISTEN,
                     "TO listens already");
    monitored_end(&from);
    monitored_end(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(moves), cmocka_unit_test(stops),
                                       cmocka_unit_test(refuses)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
