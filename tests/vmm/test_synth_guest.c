/* Guests as threads: what they find in their memory wherever they are, and damaged
 * state that arrives. */
#include "vmm/machine_synth_guest.h"

#include <inttypes.h>

#include "base/clock.h"
#include "capture/target.h"
#include "stream/description.h"
#include "tests/support/guests.h"
#include "tests/support/memory.h"
#include "tests/support/move.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "vmm/machine_kvm.h"

#define MEMORY  (UINT64_C(8) << 20)
#define DIRTIER "dirtier,rate=40M,pattern=hot,working-set=4M"

static struct machine *make(const char *guest, unsigned cpus, enum dirty_kind dirty, bool incoming)
{
    const struct machine_guest_config config = {
        .guest = guest, .bytes = MEMORY, .cpus = cpus, .incoming = incoming, .dirty = dirty};
    struct machine *m;
    struct error err;

    OK(machine_synth_guest_new(&config, &m, &err), err, guest);
    return m;
}

static struct move move_of(const char *label)
{
    return (struct move){
        .label = label,
        .config = {.n_channels = 2, .return_path = true, .live.downtime_limit_ms = 300},
    };
}

static void stop(const char *label, struct machine *m)
{
    struct error err;

    OK(machine_stop(m, MACHINE_PAUSED, &err), err, label);
}

static struct guest_verdict verdict_of(struct machine *m)
{
    struct guest_verdict verdict;

    guest_report_verdict(machine_guest_report(m), &verdict);
    return verdict;
}

/* --- moving ---------------------------------------------------------------------------------- */

static const struct guest_case {
    const char *guest;
    bool sweeps;
} guest_cases[] = {
    {"counter", false},
    {DIRTIER, true},
    {"dirtier,rate=0,fill=lines,pattern=sequential,working-set=1M", true},
    {"idle", false},
};

static void try_move(const struct guest_case *c, unsigned cpus, enum dirty_kind dirty)
{
    struct machine *from = make(c->guest, cpus, dirty, false);
    struct machine *to = make(c->guest, cpus, dirty, true);
    struct move move = move_of(c->guest);

    machine_resume(from, MACHINE_PAUSED);
    guest_await(c->guest, from, 10);
    move_machine(&move, from, to);
    memory_check_equal(c->guest, &from->ram, &to->ram);
    guest_check_clean("before", from);
    struct guest_verdict left = verdict_of(from);
    machine_resume(to, MACHINE_PAUSED);
    guest_await(c->guest, to, left.heartbeats + 10);
    if (c->sweeps)
        guest_await_swept(c->guest, to, 1);
    guest_check_clean("after", to);
    struct guest_verdict now = verdict_of(to);
    CHECK(now.moves == 1 && now.pages_verified >= left.pages_verified &&
              now.pages_written >= left.pages_written,
          "%s: it did not go on where it was", c->guest);
    machine_free(from);
    machine_free(to);
}

static void moves(void **state)
{
    static const enum dirty_kind kinds[] = {DIRTY_LOG, DIRTY_UFFD};
    struct error err;

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        if (kinds[k] == DIRTY_UFFD && dirty_kind_usable(kinds[k], &err) < 0) {
            print_message("uffd: skipped: %s\n", err.text);
            continue;
        }
        for (size_t i = 0; i < ARRAY_LEN(guest_cases); i++) {
            for (unsigned cpus = 1; cpus <= 3; cpus += 2)
                try_move(&guest_cases[i], cpus, kinds[k]);
        }
    }
}

/* The same guest moves twenty times, each time to a machine that has never run. */
static void moves_on_and_on(void **state)
{
    struct machine *m = make(DIRTIER, 2, DIRTY_LOG, false);
    struct move move = move_of("again");

    (void)state;
    machine_resume(m, MACHINE_PAUSED);
    guest_await_swept("first", m, 1);
    for (unsigned i = 0; i < 20; i++) {
        struct machine *next = make(DIRTIER, 2, DIRTY_LOG, true);

        machine_resume(next, MACHINE_PAUSED);
        move_machine(&move, m, next);
        guest_await_swept("again", next, 1);
        guest_check_clean("again", next);
        machine_free(m);
        m = next;
    }
    CHECK(verdict_of(m).moves == 20, "moves got lost");
    machine_free(m);
}

/* Into a snapshot, before its first step and after it, and from it into several machines. */
static void goes_on_from_a_file(void **state)
{
    (void)state;
    for (unsigned started = 0; started <= 1; started++) {
        struct machine *from = make(DIRTIER, 2, DIRTY_LOG, false);
        struct move move = move_of("to a file");
        struct target *target;
        char path[PATH_MAX];
        struct error err;

        if (started) {
            machine_resume(from, MACHINE_PAUSED);
            guest_await_swept("source", from, 1);
        }
        OK(target_file_new(
               &(struct target_config){.path = temp_path(path, started ? "late" : "early")},
               &target, &err),
           err, "file");
        move_to_target(&move, from, target);
        target_free(target);
        for (unsigned i = 0; i < 2; i++) {
            struct machine *to = make(DIRTIER, 2, DIRTY_LOG, true);

            OK(move_from_file(path, to, &err), err, "from a file");
            memory_check_equal("from a file", &from->ram, &to->ram);
            machine_resume(to, MACHINE_PAUSED);
            guest_await_swept("from a file", to, 1);
            guest_check_clean("from a file", to);
            machine_free(to);
        }
        machine_free(from);
    }
}

/* --- standing still -------------------------------------------------------------------------- */

/* A paused guest neither writes nor reports, moved or not; and then continues. */
static void stands_still(void **state)
{
    struct machine *from = make(DIRTIER, 2, DIRTY_LOG, false);
    struct machine *to = make(DIRTIER, 2, DIRTY_LOG, true);
    struct move move = move_of("paused");

    (void)state;
    machine_resume(from, MACHINE_PAUSED);
    guest_await_swept("source", from, 1);
    stop("stop", from);
    struct guest_verdict before = verdict_of(from);
    machine_resume(to, MACHINE_PAUSED);
    move_machine(&move, from, to); /* which takes a while */
    memory_check_equal("paused", &from->ram, &to->ram);
    CHECK(machine_is_paused_for(to, MACHINE_PAUSED), "it is not paused where it came");
    struct guest_verdict there = verdict_of(to), here = verdict_of(from);
    CHECK(there.heartbeats == before.heartbeats && here.heartbeats == before.heartbeats,
          "%" PRIu64 " heartbeats, then %" PRIu64 " here and %" PRIu64 " there", before.heartbeats,
          here.heartbeats, there.heartbeats);
    machine_resume(to, MACHINE_PAUSED);
    guest_await_swept("after", to, 1);
    guest_check_clean("after", to);
    machine_free(from);
    machine_free(to);
}

static bool stood_still(struct machine *m)
{
    return verdict_of(m).longest_gap_us >= 180000;
}

/* A throttle of 95 percent: 10 ms of running, 190 of pause, as the guest itself notices. */
static void is_slowed(void **state)
{
    static const char *const guests[] = {"counter", "idle", DIRTIER};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(guests); i++) {
        struct machine *m = make(guests[i], 2, DIRTY_LOG, false);

        machine_resume(m, MACHINE_PAUSED);
        guest_await(guests[i], m, 5);
        m->ops->throttle(m, 95);
        /* The throttle's thread needs a CPU, too, which a busy machine may give to the guest first.
         */
        for (uint64_t beats = 45; !stood_still(m) && beats < 5000; beats += 40)
            guest_await(guests[i], m, beats);
        m->ops->throttle(m, 0);
        guest_await(guests[i], m, verdict_of(m).heartbeats + 100);
        guest_check_clean(guests[i], m);
        CHECK(stood_still(m), "%s: never stood still for longer than %" PRIu64 " us", guests[i],
              verdict_of(m).longest_gap_us);
        machine_free(m);
    }
}

/* Every page that differs from an earlier copy is in the dirty log. */
static void notices_every_write(void **state)
{
    static const char *const guests[] = {"counter", DIRTIER};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(guests); i++) {
        struct machine *m = make(guests[i], 2, DIRTY_LOG, false);
        struct ram_block *b = &m->ram.blocks[0];
        uint8_t *copy = malloc(MEMORY);
        struct dirty_bitmap dirty;
        uint64_t pages = 0, all = 0;
        struct error err;

        OK(dirty_bitmap_init(&dirty, ram_block_pages(b), &err), err, "bitmap");
        OK(m->dirty->ops->start(m->dirty, &err), err, "start");
        memcpy(copy, b->host, MEMORY);
        machine_resume(m, MACHINE_PAUSED);
        while (all < 200) { /* until enough was written, however long that takes */
            OK(m->dirty->ops->sync(m->dirty, &dirty, &pages, &err), err, "sync");
            all += pages;
        }
        stop("stop", m);
        OK(m->dirty->ops->sync(m->dirty, &dirty, &pages, &err), err, "last sync");
        for (uint64_t page = 0; page < ram_block_pages(b); page++) {
            size_t at = page * RAM_PAGE_SIZE;

            CHECK(memcmp(copy + at, b->host + at, RAM_PAGE_SIZE) == 0 ||
                      dirty.words[page / 64] >> page % 64 & 1,
                  "%s: page %" PRIu64 " was missed", guests[i], page);
        }
        dirty_bitmap_done(&dirty);
        free(copy);
        machine_free(m);
    }
}

/* --- what it notices ------------------------------------------------------------------------- */

/* One bit, in a page that it has written: the last page, so not in the ledger. */
static uint64_t harm(struct machine *m)
{
    struct ram_block *b = &m->ram.blocks[0];
    uint64_t page = ram_block_pages(b) - 1;

    while (*(uint64_t *)(b->host + page * RAM_PAGE_SIZE) != page)
        page--;
    b->host[page * RAM_PAGE_SIZE + RAM_PAGE_SIZE - 1] ^= 0x10;
    return page;
}

static void check_told(const char *label, struct machine *m, uint64_t errors, uint64_t page)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];

    CHECK(guest_report_wait(machine_guest_report(m), 0, errors, DEADLINE_NEVER), "%s: it ended",
          label);
    CHECK(guest_report_wrong(machine_guest_report(m), wrong) >= 1 && wrong[0].page == page,
          "%s: page %" PRIu64 " is told, expected %" PRIu64, label, wrong[0].page, page);
}

/* At the source, and at the destination. */
static void notices_a_changed_page(void **state)
{
    struct machine *m = make("dirtier,working-set=1M", 1, DIRTY_LOG, false);
    struct machine *to = make("dirtier,working-set=1M", 1, DIRTY_LOG, true);
    struct move move = move_of("changed");

    (void)state;
    machine_resume(m, MACHINE_PAUSED);
    guest_await_swept("here", m, 1);
    stop("stop", m);
    uint64_t page = harm(m);
    machine_resume(m, MACHINE_PAUSED);
    check_told("here", m, 1, page);
    guest_await_swept("here", m, 3); /* it was repaired, and is reported once */
    CHECK(verdict_of(m).errors == 1, "%" PRIu64 " errors", verdict_of(m).errors);
    machine_resume(to, MACHINE_PAUSED);
    move_machine(&move, m, to);
    stop("stop", to);
    page = harm(to);
    machine_resume(to, MACHINE_PAUSED);
    check_told("there", to, 2, page);
    guest_await_swept("there", to, 3);
    CHECK(verdict_of(to).errors == 2, "%" PRIu64 " errors", verdict_of(to).errors);
    machine_free(m);
    machine_free(to);
}

/* Memory that matches itself, but is older than the guest: only a sum over the ledger shows it. */
static void notices_an_old_memory(void **state)
{
    struct machine *m = make("dirtier,working-set=1M", 1, DIRTY_LOG, false);
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    uint8_t *copy = malloc(MEMORY);

    (void)state;
    machine_resume(m, MACHINE_PAUSED);
    guest_await_swept("guest", m, 1);
    stop("stop", m);
    memcpy(copy, m->ram.blocks[0].host, MEMORY);
    machine_resume(m, MACHINE_PAUSED);
    /* The next heartbeat reports what was written before; a sweep alone may write nothing. */
    guest_await("guest", m, verdict_of(m).heartbeats + 1);
    uint64_t written = verdict_of(m).pages_written;
    while (verdict_of(m).pages_written == written)
        guest_await("guest", m, verdict_of(m).heartbeats + 1);
    stop("stop", m);
    memcpy(m->ram.blocks[0].host, copy, MEMORY);
    machine_resume(m, MACHINE_PAUSED);
    CHECK(guest_report_wait(machine_guest_report(m), 0, 1, DEADLINE_NEVER), "it ended");
    guest_report_wrong(machine_guest_report(m), wrong);
    CHECK(wrong[0].state == GUEST_STATE_LEDGER, "state %u is told", wrong[0].state);
    free(copy);
    machine_free(m);
}

/* --- damaged state that arrives -------------------------------------------------------------- */

/* A vCPU's section, and its values: each number has 8 bytes, as in cpu_fields[]. */
#define PARAMS_AT 8
#define WORDS_AT  (PARAMS_AT + 16 * 8)

struct found {
    const char *name;
    uint8_t *body;
    uint64_t len;
};

static void find_section(void *arg, const struct section *s, const uint8_t *body, uint64_t len)
{
    struct found *found = arg;

    if (strcmp(s->name, found->name) != 0)
        return;
    found->body = (uint8_t *)body;
    found->len = len;
}

static struct found section_of(struct machine *m, const char *name)
{
    struct found found = {.name = name};
    struct error err;

    OK(description_check(&m->devices.early, &m->devices.tail, find_section, &found, &err), err,
       name);
    CHECK(found.body, "no section %s", name);
    return found;
}

static uint64_t get(const uint8_t *at)
{
    struct reader r = reader_of(at, sizeof(uint64_t));

    return get_u64(&r);
}

static const struct lie {
    const char *label, *section;
    size_t at;
    uint64_t value;
    const char *part;
} lies[] = {
    {"no such program", "synth", 0, 3, "program 3"},
    {"a clock of the end of time", "synth", 8, UINT64_MAX, "ticks"},
    {"another build", "synth-vcpu", PARAMS_AT, 1, "another build"},
    {"another's pages", "synth-vcpu", PARAMS_AT + 8, 0, "its pages"},
    {"more pages", "synth-vcpu", PARAMS_AT + 16, 1 << 20, "its pages"},
    {"no end of a step", "synth-vcpu", PARAMS_AT + 24, UINT64_MAX, "heartbeat_ticks is"},
    {"another vCPU", "synth-vcpu", PARAMS_AT + 32, 5, "its pages"},
    {"another clock", "synth-vcpu", PARAMS_AT + 40, 1, "another build"},
    {"a pattern", "synth-vcpu", PARAMS_AT + 56, 9, "pattern is 9"},
    {"more work than pages", "synth-vcpu", PARAMS_AT + 80, 1 << 20, "its pages"},
    {"a slice without an end", "synth-vcpu", PARAMS_AT + 120, UINT64_MAX, "slice_ticks is"},
};

static void put(uint8_t *at, uint64_t value)
{
    struct writer w = writer_of(at, sizeof(value));

    put_u64(&w, value);
}

/* A guest that has run, is paused, and was saved. */
static struct machine *saved(const char *guest)
{
    struct machine *m = make(guest, 1, DIRTY_LOG, false);
    struct error err;

    machine_resume(m, MACHINE_PAUSED);
    guest_await(guest, m, 3);
    stop("stop", m);
    OK(m->ops->save(m, &err), err, "save");
    return m;
}

static void refuses_lies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        struct machine *from = saved(DIRTIER), *to = make(NULL, 1, DIRTY_LOG, true);
        struct error err;

        put(section_of(from, lies[i].section).body + lies[i].at, lies[i].value);
        check_refused(lies[i].label, to->ops->load(to, &from->devices, &err), &err, ERR_PEER,
                      lies[i].part);
        machine_free(from);
        machine_free(to);
    }
}

/* Its clock continues from its own value, not the host's, and counts the time in between. */
static void keeps_its_clock(void **state)
{
    struct machine *from = saved(DIRTIER), *to = make(NULL, 1, DIRTY_LOG, true);
    struct found synth = section_of(from, "synth");
    struct error err;

    (void)state;
    put(synth.body + 8, get(synth.body + 8) + 20 * NS_PER_S);
    put(synth.body + 16, get(synth.body + 16) - 10 * NS_PER_S);
    OK(to->ops->load(to, &from->devices, &err), err, "load");
    machine_resume(to, MACHINE_MOVING);
    machine_resume(to, MACHINE_PAUSED);
    guest_await("clock", to, verdict_of(from).heartbeats + 3);
    CHECK(verdict_of(to).last_move_gap_us >= 30000000, "the gap is %" PRIu64 " us",
          verdict_of(to).last_move_gap_us);
    machine_free(from);
    machine_free(to);
}

/*
 * A state may contain anything. It may end the guest, or make it find errors; but no memory outside
 * the guest's is touched, which a sanitizer would report, and the guest can be paused.
 */
static void survives_any_state(void **state)
{
    static const char *const guests[] = {DIRTIER, "counter", "idle"};
    uint64_t random = 1;

    (void)state;
    for (unsigned i = 0; i < 90; i++) {
        struct machine *from = saved(guests[i % 3]), *to = make(NULL, 1, DIRTY_LOG, true);
        struct found vcpu = section_of(from, "synth-vcpu");
        struct error err;

        for (uint64_t at = WORDS_AT; at < vcpu.len; at += 8) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            if (i < 3 || random >> 62 == 0) /* all ones, then random ones */
                put(vcpu.body + at, i < 3 ? UINT64_MAX : random >> (random >> 57 & 63));
        }
        OK(to->ops->load(to, &from->devices, &err), err, "load");
        machine_resume(to, MACHINE_MOVING);
        machine_resume(to, MACHINE_PAUSED);
        /* For as long as a few steps take, or until it ends. */
        guest_report_wait(machine_guest_report(to), UINT64_MAX, 0, deadline_in_ms(10));
        stop("stop", to);
        machine_free(from);
        machine_free(to);
    }
}

/* If its state names a page that does not exist, it ends with that reason. */
static void ends_where_it_strays(void **state)
{
    struct machine *from = saved("counter"), *to = make(NULL, 1, DIRTY_LOG, true);
    struct error err;

    (void)state;
    put(section_of(from, "synth-vcpu").body + WORDS_AT + 8, 1 << 20); /* the next page */
    OK(to->ops->load(to, &from->devices, &err), err, "load");
    machine_resume(to, MACHINE_MOVING);
    machine_resume(to, MACHINE_PAUSED);
    CHECK(!guest_report_wait(machine_guest_report(to), UINT64_MAX, 0, DEADLINE_NEVER), "it runs");
    check_refused("stray", guest_report_failure(machine_guest_report(to), &err), &err, ERR_PEER,
                  "vCPU 0");
    machine_free(from);
    machine_free(to);
}

/* Each kind refuses the other kind's guest, by name. */
static void is_not_kvm(void **state)
{
    const struct machine_guest_config config = {.guest = "counter", .bytes = MEMORY, .cpus = 1};
    struct machine_guest_config waiting = config;
    struct machine *kvm, *kvm_waiting, *synth = saved("counter");
    struct machine *synth_waiting = make(NULL, 1, DIRTY_LOG, true);
    struct error err;

    (void)state;
    waiting.incoming = true;
    if (machine_kvm_usable(&err) < 0) {
        machine_free(synth);
        machine_free(synth_waiting);
        skip();
    }
    kvm = guest_new("kvm", &config);
    kvm_waiting = guest_new("kvm", &waiting);
    OK(kvm->ops->save(kvm, &err), err, "save");
    check_refused("to KVM", kvm_waiting->ops->load(kvm_waiting, &synth->devices, &err), &err,
                  ERR_PEER, "ran as threads, and cannot run under KVM");
    check_refused("from KVM", synth_waiting->ops->load(synth_waiting, &kvm->devices, &err), &err,
                  ERR_PEER,
                  "ran under KVM, and cannot run as threads: give both machines the same --accel");
    machine_free(kvm);
    machine_free(kvm_waiting);
    machine_free(synth);
    machine_free(synth_waiting);
}

static const struct config_case {
    const char *label;
    struct machine_guest_config config;
    const char *part;
} config_cases[] = {
    {"nothing", {.bytes = MEMORY, .cpus = 1}, "expected a guest or a payload"},
    {"no guest of that name", {.guest = "walker", .bytes = MEMORY, .cpus = 1}, "walker"},
    {"no vCPU", {.guest = "idle", .bytes = MEMORY}, "0 vCPUs"},
    {"little memory", {.guest = "idle", .bytes = 4096, .cpus = 1}, "expected a multiple of 2M"},
    {"a payload", {.payload = "/bin/true", .bytes = MEMORY, .cpus = 1}, "under KVM only"},
    {"a ring",
     {.guest = "idle", .bytes = MEMORY, .cpus = 1, .dirty = DIRTY_RING},
     "only KVM has a dirty ring"},
    {"a ring's length",
     {.guest = "idle", .bytes = MEMORY, .cpus = 1, .dirty_ring = 1024},
     "only KVM has a dirty ring"},
};

static void refuses_configurations(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(config_cases); i++) {
        struct machine *m;
        struct error err;

        check_refused(config_cases[i].label,
                      machine_synth_guest_new(&config_cases[i].config, &m, &err), &err, ERR_USAGE,
                      config_cases[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves),
        cmocka_unit_test(moves_on_and_on),
        cmocka_unit_test(goes_on_from_a_file),
        cmocka_unit_test(stands_still),
        cmocka_unit_test(is_slowed),
        cmocka_unit_test(notices_every_write),
        cmocka_unit_test(notices_a_changed_page),
        cmocka_unit_test(notices_an_old_memory),
        cmocka_unit_test(refuses_lies),
        cmocka_unit_test(keeps_its_clock),
        cmocka_unit_test(survives_any_state),
        cmocka_unit_test(ends_where_it_strays),
        cmocka_unit_test(is_not_kvm),
        cmocka_unit_test(refuses_configurations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
