/*
 * Both ends in one process. Checks which states a migration goes through, that its observers hear
 * each of them, and what happens to the guest if the migration is cancelled or fails in a state.
 */
#include <pthread.h>
#include <sched.h>

#include "migration/destination.h"
#include "migration/source.h"
#include "tests/support/memory.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "vmm/machine_synth.h"

#define MI UINT64_C(1048576)

enum deed { NOTHING, CANCEL, GO_ON, LOSE_PEER, CHANGE, CHANGE_AND_GO_ON };

/* A run, and what happens at a moment of it. */
struct scene {
    const char *label;
    enum migration_status at; /* when the source has reached this status: */
    uint64_t at_pass;         /* or begins this round: */
    enum deed deed;
    struct runtime_parameters change;
    struct source_config out; /* connect, return_path and live are filled where they are 0 */
    bool no_return_path;
    const char *machine; /* NULL: our own */
    uint64_t dirty_bytes_per_s;
    bool peer_says_ack; /* whatever the machine type */
    bool late_cancel;   /* cancel when the destination has everything and is silent */
    const char *events, *peer_events;
    const char *says; /* the source's error; NULL: none */
};

struct run {
    const struct scene *scene;
    struct machine *machine;
    struct target target;
    struct destination *in;
    struct source *out;
    pthread_t peer;
    char events[300], peer_events[300]; /* statuses, and "stop" and "run" of the guest */
    uint64_t pass;                      /* the last one reported */
};

/* --- the machine: a synthetic one that records its orders ------------------------------------ */

static struct {
    struct machine_ops ops;
    const struct machine_ops *real;
    struct dirty_source_ops log;
    const struct dirty_source_ops *real_log;
    unsigned percent, most_percent;
    uint64_t limit, a_limit;
    bool logging;
    bool rewrites; /* the first BUSY_PAGES are found written at each look */
    bool relents;  /* not once it is slowed down */
} watched;

/* Takes 100 ms at 40 MiB/s, longer than any scene's downtime limit before its moment comes. */
#define BUSY_PAGES 1024

static void on_throttle(struct machine *m, unsigned percent)
{
    watched.percent = percent;
    watched.most_percent = MAX(watched.most_percent, percent);
    watched.rewrites &= !watched.relents || percent == 0;
    watched.real->throttle(m, percent);
}

static void on_limit(struct machine *m, uint64_t bytes_per_s)
{
    watched.limit = bytes_per_s;
    watched.a_limit = MAX(watched.a_limit, bytes_per_s);
    watched.rewrites &= !watched.relents || bytes_per_s == 0;
    watched.real->limit_dirty(m, bytes_per_s);
}

static int on_log_start(struct dirty_source *s, struct error *err)
{
    watched.logging = true;
    return watched.real_log->start(s, err);
}

/* The writer alone could get too little of a busy host's CPUs to need another round. */
static int on_log_sync(struct dirty_source *s, struct dirty_bitmap *bitmaps, uint64_t *ret_pages,
                       struct error *err)
{
    int rc = watched.real_log->sync(s, bitmaps, ret_pages, err);

    if (rc == 0 && watched.rewrites)
        *ret_pages += dirty_bitmap_set_range(&bitmaps[0], 0, BUSY_PAGES);
    return rc;
}

static void on_log_stop(struct dirty_source *s)
{
    watched.logging = false;
    watched.real_log->stop(s);
}

static struct machine *make_machine(const struct scene *scene)
{
    struct synth_config config = {.bytes = 16 * MI,
                                  .zero_percent = 10,
                                  .seed = 1,
                                  .dirty_bytes_per_s = scene->dirty_bytes_per_s};
    struct machine *m;
    struct error err;

    if (!config.dirty_bytes_per_s)
        config.dirty_bytes_per_s = 10 * MI;
    OK(machine_synth(&config, &m, &err), err, scene->label);
    if (scene->machine)
        strcpy(m->config.machine, scene->machine);
    memset(&watched, 0, sizeof(watched));
    watched.relents = scene->at_pass == 0;
    watched.rewrites = !watched.relents || scene->out.auto_converge || scene->out.dirty_limit;
    watched.real = m->ops;
    watched.ops = *m->ops;
    watched.ops.throttle = on_throttle;
    watched.ops.limit_dirty = on_limit;
    m->ops = &watched.ops;
    watched.real_log = m->dirty->ops;
    watched.log = *m->dirty->ops;
    watched.log.start = on_log_start;
    watched.log.sync = on_log_sync;
    watched.log.stop = on_log_stop;
    m->dirty->ops = &watched.log;
    return m;
}

/* Returns when the guest has written something: it runs, or the test hangs. */
static void check_runs(struct machine *m, const char *label)
{
    struct dirty_bitmap dirty;
    uint64_t pages = 0;
    struct error err;

    OK(dirty_bitmap_init(&dirty, ram_block_pages(&m->ram.blocks[0]), &err), err, label);
    OK(m->dirty->ops->start(m->dirty, &err), err, label);
    while (pages == 0)
        OK(m->dirty->ops->sync(m->dirty, &dirty, &pages, &err), err, label);
    m->dirty->ops->stop(m->dirty);
    dirty_bitmap_done(&dirty);
}

/* --- notifications, and what the test does then ---------------------------------------------- */

static void note(char *events, const char *event)
{
    size_t len = strlen(events);

    snprintf(events + len, sizeof(((struct run *)0)->events) - len, "%s%s", len ? " " : "", event);
}

static void do_it(struct run *r)
{
    struct migration_snapshot snap;
    struct error err;

    watched.rewrites = false;
    switch (r->scene->deed) {
    case NOTHING:
        break;
    case CANCEL:
        source_cancel(r->out);
        source_stats(r->out, &snap);
        CHECK(snap.status == MIGRATION_CANCELLING, "%s: shows %s", r->scene->label,
              migration_status_name(snap.status));
        break;
    case CHANGE_AND_GO_ON:
        source_update(r->out, &r->scene->change);
        OK(source_continue(r->out, &err), err, r->scene->label);
        break;
    case GO_ON:
        OK(source_continue(r->out, &err), err, r->scene->label);
        break;
    case LOSE_PEER:
        destination_cancel(r->in);
        break;
    case CHANGE:
        source_update(r->out, &r->scene->change);
        break;
    }
}

static void on_status(void *arg, enum migration_status status)
{
    struct run *r = arg;
    struct migration_snapshot snap;

    note(r->events, migration_status_name(status));
    source_stats(r->out, &snap);
    CHECK(snap.status == status || snap.status == MIGRATION_CANCELLING, "%s: told %s, shows %s",
          r->scene->label, migration_status_name(status), migration_status_name(snap.status));
    if (status == r->scene->at && status != MIGRATION_NONE)
        do_it(r);
}

static void on_pass(void *arg, uint64_t pass)
{
    struct run *r = arg;
    struct migration_snapshot snap;

    CHECK(pass == r->pass + 1, "%s: pass %llu after %llu", r->scene->label,
          (unsigned long long)pass, (unsigned long long)r->pass);
    r->pass = pass;
    source_stats(r->out, &snap);
    CHECK(snap.throttle_percent == watched.percent &&
              snap.vcpu_dirty_limit_bytes_per_s == watched.limit,
          "%s: %u %% is shown", r->scene->label, snap.throttle_percent);
    if (pass == r->scene->at_pass)
        do_it(r);
}

static void on_guest(void *arg, bool running)
{
    struct run *r = arg;

    note(r->events, running ? "run" : "stop");
}

static void on_peer_status(void *arg, enum migration_status status)
{
    struct run *r = arg;

    note(r->peer_events, migration_status_name(status));
}

/* --- the other end --------------------------------------------------------------------------- */

static int on_listed(struct target *l, const struct configuration *config,
                     const struct device_state *devices, struct ram_map *ram, struct error *err)
{
    (void)l;
    (void)config;
    (void)devices;
    return ram_map_anonymous(ram, err);
}

static void cancel_and_await_the_end(struct source *m)
{
    struct migration_snapshot snap;

    source_cancel(m);
    do {
        sched_yield();
        source_stats(m, &snap);
    } while (snap.status == MIGRATION_DEVICE);
}

static int on_prepare(struct target *l, const struct configuration *config,
                      const struct ram_map *ram, const struct device_state *devices,
                      struct error *err)
{
    const struct run *r = CONTAINER_OF(l, struct run, target);

    (void)config;
    (void)devices;
    (void)err;
    memory_check_equal(r->scene->label, &r->machine->ram, ram);
    return 0;
}

static int on_commit(struct target *l, struct error *err)
{
    const struct run *r = CONTAINER_OF(l, struct run, target);

    (void)err;
    if (r->scene->late_cancel)
        cancel_and_await_the_end(r->out);
    return 0;
}

static const struct target_ops target_ops = {
    .listed = on_listed, .prepare = on_prepare, .commit = on_commit};

static void *peer_main(void *arg)
{
    struct run *r = arg;
    struct error ignored;

    (void)!destination_run(r->in, &ignored);
    return NULL;
}

/* --- a run ----------------------------------------------------------------------------------- */

static void configure(struct run *r, struct destination_config *in, struct source_config *out)
{
    const struct scene *s = r->scene;
    char path[PATH_MAX], address[PATH_MAX + 8];
    struct error err;

    snprintf(address, sizeof(address), "unix:%s", temp_path(path, "s"));
    *in = (struct destination_config){
        .n_channels = -1,
        .switchover_ack = s->peer_says_ack,
        .observer = {.status = on_peer_status, .arg = r},
    };
    OK(address_parse(address, &in->connect.address, &err), err, s->label);
    OK(engine_find("auto", &in->connect.engine, &err), err, s->label);
    in->connect.connect_timeout_ms = in->connect.stall_timeout_ms = HANG_MS;
    *out = s->out;
    uint64_t stall_ms = s->out.connect.stall_timeout_ms;
    out->connect = in->connect;
    if (stall_ms)
        out->connect.stall_timeout_ms = stall_ms;
    out->return_path = !s->no_return_path;
    if (!out->live.downtime_limit_ms)
        out->live.downtime_limit_ms = 300;
    out->observer = (struct migration_observer){
        .status = on_status, .pass = on_pass, .guest = on_guest, .arg = r};
}

static void start(struct run *r, const struct scene *scene, struct machine *machine)
{
    struct destination_config in;
    struct source_config out;
    struct error err;

    *r = (struct run){.scene = scene, .machine = machine, .target.ops = &target_ops, .pass = 1};
    configure(r, &in, &out);
    OK(destination_new(&in, &r->target, &r->in, &err), err, scene->label);
    OK(destination_listen(r->in, &err), err, scene->label);
    OK(source_new(&out, machine, &r->out, &err), err, scene->label);
    assert_int_equal(pthread_create(&r->peer, NULL, peer_main, r), 0);
}

static void finish(struct run *r, int rc, const struct error *err)
{
    const struct scene *s = r->scene;

    if (rc < 0)
        destination_cancel(r->in); /* it may still wait for a source that never came */
    pthread_join(r->peer, NULL);
    CHECK((rc == 0) == !s->says, "%s: rc %d: %s", s->label, rc, rc ? err->text : "");
    CHECK(!s->says || strstr(err->text, s->says), "%s: expected '%s' in: %s", s->label, s->says,
          err->text);
    CHECK(strcmp(r->events, s->events) == 0, "%s: heard '%s', expected '%s'", s->label, r->events,
          s->events);
    CHECK(!s->peer_events || strcmp(r->peer_events, s->peer_events) == 0,
          "%s: the peer heard '%s', expected '%s'", s->label, r->peer_events, s->peer_events);
    CHECK(watched.percent == 0 && watched.limit == 0, "%s: still slowed down", s->label);
    CHECK(!watched.logging, "%s: still logging", s->label);
    destination_free(r->in);
    source_free(r->out);
}

static void play(const struct scene *scene, struct machine *machine)
{
    struct run r;
    struct error err;

    start(&r, scene, machine);
    int rc = source_run(r.out, &err);
    if (rc < 0)
        check_runs(machine, scene->label);
    finish(&r, rc, &err);
}

static const struct scene plain = {
    .label = "the next one",
    .events = "setup active stop device completed",
    .peer_events = "setup active completed",
};

/* --- the cases ------------------------------------------------------------------------------- */

#define PAUSE          .out.pause_before_switchover = true
#define WITH(channels) .out.n_channels = channels
#define STALL_MS(ms)   .out.connect.stall_timeout_ms = ms

#define COMPLETED "setup active stop device completed"
#define PAUSED    "setup active stop pre-switchover"

static const struct scene scenes[] = {
    {.label = "plain", .events = COMPLETED, .peer_events = "setup active completed"},
    {.label = "plain, channels", WITH(2), .events = COMPLETED},
    {.label = "no return path", .no_return_path = true, .events = COMPLETED},
    {.label = "a pause",
     PAUSE,
     .at = MIGRATION_PRE_SWITCHOVER,
     .deed = GO_ON,
     .events = PAUSED " device completed",
     .peer_events = "setup active completed"},
    {.label = "a pause, channels",
     PAUSE,
     WITH(2),
     .at = MIGRATION_PRE_SWITCHOVER,
     .deed = GO_ON,
     .events = PAUSED " device completed"},
    {.label = "a pause, no return path",
     PAUSE,
     .no_return_path = true,
     .at = MIGRATION_PRE_SWITCHOVER,
     .deed = GO_ON,
     .events = PAUSED " device completed"},

    {.label = "cancel in setup",
     .at = MIGRATION_SETUP,
     .deed = CANCEL,
     .events = "setup cancelling cancelled",
     .says = "cancelled"},
    {.label = "cancel in active",
     .at = MIGRATION_ACTIVE,
     .deed = CANCEL,
     .events = "setup active cancelling cancelled",
     .says = "cancelled"},
    {.label = "cancel in active, channels",
     WITH(2),
     .at = MIGRATION_ACTIVE,
     .deed = CANCEL,
     .events = "setup active cancelling cancelled",
     .says = "cancelled"},
    {.label = "cancel in the second round",
     WITH(2),
     .dirty_bytes_per_s = 100 * MI,
     .out.live = {.max_bytes_per_s = 40 * MI, .downtime_limit_ms = 1},
     .at_pass = 2,
     .deed = CANCEL,
     .events = "setup active cancelling cancelled",
     .says = "cancelled"},
    {.label = "cancel in pre-switchover",
     PAUSE,
     .at = MIGRATION_PRE_SWITCHOVER,
     .deed = CANCEL,
     .events = PAUSED " cancelling run cancelled",
     .says = "cancelled"},
    {.label = "cancel in pre-switchover, no return path",
     PAUSE,
     .no_return_path = true,
     .at = MIGRATION_PRE_SWITCHOVER,
     .deed = CANCEL,
     .events = PAUSED " cancelling run cancelled",
     .says = "cancelled"},
    {.label = "cancel in device",
     .at = MIGRATION_DEVICE,
     .deed = CANCEL,
     .events = "setup active stop device cancelling run cancelled",
     .says = "cancelled"},
    {.label = "cancel in device, channels",
     WITH(2),
     .at = MIGRATION_DEVICE,
     .deed = CANCEL,
     .events = "setup active stop device cancelling run cancelled",
     .says = "cancelled"},

    {.label = "lost in active",
     .at = MIGRATION_ACTIVE,
     .deed = LOSE_PEER,
     .events = "setup active failed",
     .says = ""},
    {.label = "lost in pre-switchover",
     PAUSE,
     .at = MIGRATION_PRE_SWITCHOVER,
     .deed = LOSE_PEER,
     .events = PAUSED " run failed",
     .says = "the destination"},
    {.label = "lost in pre-switchover, no return path",
     PAUSE,
     .no_return_path = true,
     .at = MIGRATION_PRE_SWITCHOVER,
     .deed = LOSE_PEER,
     .events = PAUSED " run failed",
     .says = "the destination has closed"},
    {.label = "lost in device",
     .at = MIGRATION_DEVICE,
     .deed = LOSE_PEER,
     .events = "setup active stop device run failed",
     .says = ""},

    {.label = "ack", .out.switchover_ack = true, .events = COMPLETED},
    {.label = "ack of 8.1",
     .out.switchover_ack = true,
     .machine = "pc-q35-8.1",
     .events = COMPLETED},
    {.label = "ack of 7.2, where the peer is told to",
     .out.switchover_ack = true,
     .machine = "pc-q35-7.2",
     .peer_says_ack = true,
     .events = COMPLETED},
    {.label = "no ack of 7.2",
     .out.switchover_ack = true,
     .machine = "pc-q35-7.2",
     STALL_MS(500),
     .events = "setup active failed",
     .says = "switchover-ack: the destination has not sent it for 0.5 s"},
    {.label = "cancel while no ack comes",
     .out.switchover_ack = true,
     .machine = "pc-q35-7.2",
     .at_pass = 3,
     .deed = CANCEL,
     .events = "setup active cancelling cancelled",
     .says = "cancelled"},
    {.label = "lost while no ack comes",
     .out.switchover_ack = true,
     .machine = "pc-q35-7.2",
     .at_pass = 3,
     .deed = LOSE_PEER,
     .events = "setup active failed",
     .says = ""},
    {.label = "11.1 has none to wait for",
     .out.switchover_ack = true,
     .machine = "pc-q35-11.1",
     .events = COMPLETED},
};

static void both_ends_go_through_these(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
        struct machine *machine = make_machine(&scenes[i]);

        play(&scenes[i], machine);
        if (scenes[i].says) /* it can migrate again */
            play(&plain, machine);
        machine_free(machine);
    }
}

/* --- converging ------------------------------------------------------------------------------ */

/* A guest that writes more than is moved: 100 MiB/s against 40. */
#define TOO_FAST .dirty_bytes_per_s = 100 * MI
#define SLOW_PATH(most, tail)                                                                      \
    {                                                                                              \
        .max_bytes_per_s = 40 * MI, .downtime_limit_ms = 20, .throttle_trigger_percent = 50,       \
        .throttle_initial_percent = 50, .throttle_increment_percent = 30,                          \
        .throttle_max_percent = most, .throttle_tailslow = tail, .vcpu_dirty_bytes_per_s = MI      \
    }

static const struct scene races[] = {
    {.label = "it does not end",
     TOO_FAST,
     .out.live = SLOW_PATH(99, false),
     .at_pass = 9,
     .deed = CANCEL,
     .events = "setup active cancelling cancelled",
     .says = "cancelled"},
    {.label = "auto-converge",
     TOO_FAST,
     .out.auto_converge = true,
     .out.live = SLOW_PATH(99, false),
     .events = COMPLETED},
    {.label = "auto-converge, channels, slow at the tail",
     TOO_FAST,
     WITH(2),
     .out.auto_converge = true,
     .out.live = SLOW_PATH(99, true),
     .events = COMPLETED},
    {.label = "auto-converge, cancelled",
     TOO_FAST,
     .out.auto_converge = true,
     .out.live = SLOW_PATH(50, false),
     .at_pass = 6,
     .deed = CANCEL,
     .events = "setup active cancelling cancelled",
     .says = "cancelled"},
    {.label = "dirty-limit",
     TOO_FAST,
     .out.dirty_limit = true,
     .out.live = SLOW_PATH(99, false),
     .events = COMPLETED},
    {.label = "more downtime",
     TOO_FAST,
     .out.live = SLOW_PATH(99, false),
     .at_pass = 5,
     .deed = CHANGE,
     .change = {.max_bytes_per_s = 40 * MI, .downtime_limit_ms = 100000},
     .events = COMPLETED},
    {.label = "more bandwidth",
     TOO_FAST,
     .out.live = SLOW_PATH(99, false),
     .at_pass = 5,
     .deed = CHANGE,
     .change = {.downtime_limit_ms = 2000},
     .events = COMPLETED},
    {.label = "more for the switch-over",
     TOO_FAST,
     .out.live = SLOW_PATH(99, false),
     .at_pass = 5,
     .deed = CHANGE,
     .change = {.max_bytes_per_s = 40 * MI,
                .downtime_limit_ms = 20,
                .switchover_bytes_per_s = UINT64_C(1) << 40},
     .events = COMPLETED},
    /* At the old rate, the rest would take hours. */
    {.label = "for the switch-over only",
     PAUSE,
     .at = MIGRATION_PRE_SWITCHOVER,
     .deed = CHANGE_AND_GO_ON,
     .change = {.max_bytes_per_s = 1000, .switchover_bytes_per_s = UINT64_C(1) << 40},
     .events = PAUSED " device completed"},
    {.label = "at a crawl, then not",
     .out.live = {.max_bytes_per_s = 2000},
     .at = MIGRATION_ACTIVE,
     .deed = CHANGE,
     .change = {.downtime_limit_ms = 300},
     .events = COMPLETED},
};

static void a_guest_that_is_too_fast(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(races); i++) {
        const struct scene *s = &races[i];
        struct machine *machine = make_machine(s);

        play(s, machine);
        CHECK((watched.most_percent > 0) == s->out.auto_converge, "%s: %u %% were taken", s->label,
              watched.most_percent);
        CHECK((watched.a_limit > 0) == s->out.dirty_limit, "%s: limit %llu", s->label,
              (unsigned long long)watched.a_limit);
        if (s->says)
            play(&plain, machine);
        machine_free(machine);
    }
}

/* --- other threads --------------------------------------------------------------------------- */

/* From another thread, once senders have to wait: there is no event for that. */
static void *let_go_main(void *arg)
{
    struct run *r = arg;
    struct runtime_parameters live = {.downtime_limit_ms = 300};
    struct migration_snapshot snap;

    do {
        sched_yield(); /* source_stats() takes a lock of the migration */
        source_stats(r->out, &snap);
    } while (snap.multifd_bytes < 64 * 1024); /* a packet has left: others wait for hours now */
    source_update(r->out, &live);
    return NULL;
}

static void who_waits_is_let_go(void **state)
{
    static const struct scene scene = {.label = "waiting senders",
                                       WITH(2),
                                       .out.live = {.max_bytes_per_s = 10000},
                                       .events = COMPLETED};
    struct machine *machine = make_machine(&scene);
    struct run r;
    struct error err;
    pthread_t thread;

    (void)state;
    start(&r, &scene, machine);
    assert_int_equal(pthread_create(&thread, NULL, let_go_main, &r), 0);
    int rc = source_run(r.out, &err);
    pthread_join(thread, NULL);
    finish(&r, rc, &err);
    machine_free(machine);
}

/* migrate-continue as a monitor sends it: some time later, from another thread. */
static void *go_on_main(void *arg)
{
    struct run *r = arg;
    struct error err;

    while (source_continue(r->out, &err) < 0)
        CHECK(err.kind == ERR_USAGE && strstr(err.text, "expected pre-switchover"), "%s", err.text);
    return NULL;
}

static void somebody_else_goes_on(void **state)
{
    static const struct scene scene = {
        .label = "another thread", PAUSE, .events = PAUSED " device completed"};
    struct machine *machine = make_machine(&scene);
    struct migration_snapshot snap;
    struct run r;
    struct error err;
    pthread_t thread;

    (void)state;
    start(&r, &scene, machine);
    assert_int_equal(pthread_create(&thread, NULL, go_on_main, &r), 0);
    int rc = source_run(r.out, &err);
    pthread_join(thread, NULL);
    assert_int_equal(source_continue(r.out, &err), -1);
    source_stats(r.out, &snap);
    CHECK(snap.precopy_bytes > 0 && snap.downtime_bytes > 0 &&
              snap.precopy_bytes + snap.downtime_bytes + snap.multifd_bytes == snap.wire_bytes,
          "%llu + %llu bytes, all in all %llu", (unsigned long long)snap.precopy_bytes,
          (unsigned long long)snap.downtime_bytes, (unsigned long long)snap.wire_bytes);
    CHECK(snap.wire_bytes_per_s && snap.pages_per_second, "no rates");
    finish(&r, rc, &err);
    machine_free(machine);
}

static void cancel_before_it_runs(void **state)
{
    static const struct scene scene = {
        .label = "before it runs", .events = "setup cancelling cancelled", .says = "cancelled"};
    struct machine *machine = make_machine(&scene);
    struct run r;
    struct error err;

    (void)state;
    start(&r, &scene, machine);
    source_cancel(r.out);
    int rc = source_run(r.out, &err);
    finish(&r, rc, &err);
    machine_free(machine);
}

static void refuses_what_cannot_be(void **state)
{
    struct machine *machine = make_machine(&plain);
    struct source_config config;
    struct source *m;
    struct error err;

    (void)state;
    source_config_init(&config);
    config.switchover_ack = true;
    check_refused("no return path", source_new(&config, machine, &m, &err), &err, ERR_USAGE,
                  "return path");
    watched.ops.throttle = NULL;
    watched.ops.limit_dirty = NULL;
    source_config_init(&config);
    config.auto_converge = true;
    check_refused("no throttle", source_new(&config, machine, &m, &err), &err, ERR_USAGE,
                  "auto-converge");
    source_config_init(&config);
    config.dirty_limit = true;
    check_refused("no limit", source_new(&config, machine, &m, &err), &err, ERR_USAGE,
                  "dirty-limit");
    machine_free(machine);
}

/* The destination has everything and runs the guest: it must not run here as well. */
static void cancelled_too_late(void **state)
{
    static const struct scene scene = {
        .label = "cancelled too late",
        STALL_MS(300),
        .late_cancel = true,
        .events = "setup active stop device failed",
        .peer_events = "setup active completed",
        .says = "it may run at the destination: check there: cancelled too late",
    };
    struct machine *machine = make_machine(&scene);
    struct error err;
    struct run r;

    (void)state;
    start(&r, &scene, machine);
    int rc = source_run(r.out, &err);
    CHECK(machine_is_paused_for(machine, MACHINE_MOVING), "the guest is there twice");
    finish(&r, rc, &err);
    machine_resume(machine, MACHINE_MOVING);
    check_runs(machine, scene.label);
    play(&plain, machine);
    machine_free(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_too_late),       cmocka_unit_test(both_ends_go_through_these),
        cmocka_unit_test(a_guest_that_is_too_fast), cmocka_unit_test(who_waits_is_let_go),
        cmocka_unit_test(somebody_else_goes_on),    cmocka_unit_test(cancel_before_it_runs),
        cmocka_unit_test(refuses_what_cannot_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
