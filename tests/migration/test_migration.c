/* Both ends in one process: what each end reports when the end of a migration is disturbed. */
#include <errno.h>
#include <pthread.h>

#include "migration/destination.h"
#include "migration/source.h"
#include "tests/support/memory.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "vmm/machine_synth.h"

/* What the test does, and the moment that it chooses. */
enum event { NOTHING, CANCEL_DESTINATION, CANCEL_SOURCE, FAIL };

struct ends;

struct test_target {
    struct target base;
    struct ends *ends;
};

static const struct test_case {
    const char *label;
    enum event at_list, at_commit;
    enum migration_status source, destination;
    const char *source_says, *destination_says; /* parts of their errors; "": any, NULL: none */
} cases[] = {
    {"undisturbed", NOTHING, NOTHING, MIGRATION_COMPLETED, MIGRATION_COMPLETED, NULL, NULL},
    {"cancelled at the destination", CANCEL_DESTINATION, NOTHING, MIGRATION_FAILED,
     MIGRATION_CANCELLED, "destination has failed", "cancelled"},
    {"cancelled at the source", CANCEL_SOURCE, NOTHING, MIGRATION_CANCELLED, MIGRATION_FAILED,
     "cancelled", ""},
    {"no memory at the destination", FAIL, NOTHING, MIGRATION_FAILED, MIGRATION_FAILED,
     "No space left", "No space left"},
    {"cancelled at the destination while it commits", NOTHING, CANCEL_DESTINATION,
     MIGRATION_COMPLETED, MIGRATION_COMPLETED, NULL, NULL},
    {"cancelled at the source while the destination commits", NOTHING, CANCEL_SOURCE,
     MIGRATION_COMPLETED, MIGRATION_COMPLETED, NULL, NULL},
    {"the commit fails", NOTHING, FAIL, MIGRATION_FAILED, MIGRATION_FAILED, "No space left",
     "No space left"},
};

struct ends {
    const struct test_case *c;
    struct destination *in;
    struct source *out;
    struct machine *machine;
    struct test_target target;
    pthread_t source;
    int sent;
    struct error sent_err;
};

static int happen(struct ends *e, enum event event, struct error *err)
{
    if (event == CANCEL_DESTINATION)
        destination_cancel(e->in);
    if (event == CANCEL_SOURCE)
        source_cancel(e->out);
    if (event != FAIL)
        return 0;
    errno = ENOSPC;
    return err_sys(err, "test target");
}

static int on_listed(struct target *l, const struct configuration *config,
                     const struct device_state *devices, struct ram_map *ram, struct error *err)
{
    struct ends *e = ((struct test_target *)l)->ends;

    (void)config;
    (void)devices;
    if (ram_map_anonymous(ram, err) < 0)
        return -1;
    return happen(e, e->c->at_list, err);
}

static int on_prepare(struct target *l, const struct configuration *config,
                      const struct ram_map *ram, const struct device_state *devices,
                      struct error *err)
{
    struct ends *e = ((struct test_target *)l)->ends;

    (void)config;
    (void)devices;
    (void)err;
    memory_check_equal(e->c->label, &e->machine->ram, ram);
    return 0;
}

static int on_commit(struct target *l, struct error *err)
{
    struct ends *e = ((struct test_target *)l)->ends;

    return happen(e, e->c->at_commit, err);
}

static const struct target_ops ops = {
    .listed = on_listed, .prepare = on_prepare, .commit = on_commit};

static void *run_source(void *arg)
{
    struct ends *e = arg;

    e->sent = source_run(e->out, &e->sent_err);
    return NULL;
}

static void start(struct ends *e, const struct test_case *c, unsigned n_channels)
{
    struct synth_config synth = {.bytes = 8 << 20, .zero_percent = 30, .seed = 1};
    struct destination_config in = {.n_channels = -1};
    struct source_config out = {.n_channels = n_channels, .return_path = true};
    char path[PATH_MAX], address[PATH_MAX + 8];
    struct error err;

    *e = (struct ends){.c = c, .target = {.base.ops = &ops, .ends = e}};
    snprintf(address, sizeof(address), "unix:%s", temp_path(path, "s"));
    OK(address_parse(address, &in.connect.address, &err), err, c->label);
    OK(engine_find("auto", &in.connect.engine, &err), err, c->label);
    in.connect.connect_timeout_ms = in.connect.stall_timeout_ms = HANG_MS;
    out.connect = in.connect;
    OK(machine_synth(&synth, &e->machine, &err), err, c->label);
    OK(destination_new(&in, &e->target.base, &e->in, &err), err, c->label);
    OK(destination_listen(e->in, &err), err, c->label);
    OK(source_new(&out, e->machine, &e->out, &err), err, c->label);
    assert_int_equal(pthread_create(&e->source, NULL, run_source, e), 0);
}

static void check_end(const char *label, const char *end, int rc, const struct error *err,
                      const struct migration_snapshot *snap, enum migration_status status,
                      const char *says)
{
    CHECK((rc == 0) == (says == NULL), "%s: %s: rc %d: %s", label, end, rc, rc ? err->text : "");
    CHECK(snap->status == status, "%s: %s: status %s, expected %s", label, end,
          migration_status_name(snap->status), migration_status_name(status));
    CHECK(!says || strstr(err->text, says), "%s: %s: expected '%s' in: %s", label, end, says,
          err->text);
}

static void run_case(const struct test_case *c, unsigned n_channels)
{
    struct migration_snapshot snap;
    struct error err;
    struct ends e;

    start(&e, c, n_channels);
    int rc = destination_run(e.in, &err);
    destination_stats(e.in, &snap);
    check_end(c->label, "destination", rc, &err, &snap, c->destination, c->destination_says);
    destination_free(e.in);
    pthread_join(e.source, NULL);
    source_stats(e.out, &snap);
    check_end(c->label, "source", e.sent, &e.sent_err, &snap, c->source, c->source_says);
    source_free(e.out);
    machine_free(e.machine);
}

static void both_ends_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (unsigned n_channels = 0; n_channels <= 4; n_channels += 2)
            run_case(&cases[i], n_channels);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_ends_agree)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
