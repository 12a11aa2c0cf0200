/* Guests under KVM that move: what they find there, and what they say of it. */
#include <inttypes.h>

#include "base/clock.h"
#include "stream/description.h"
#include "tests/support/memory.h"
#include "tests/support/move.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "vmm/landing.h"
#include "vmm/machine_kvm.h"
#include "vmm/machine_snapshot.h"
#include "vmm/restore.h"

#define MEMORY (UINT64_C(24) << 20)

static struct machine *make(unsigned cpus, bool incoming)
{
    const struct machine_kvm_config config = {
        .guest = "counter", .bytes = MEMORY, .cpus = cpus, .incoming = incoming};
    struct machine *m;
    struct error err;

    OK(machine_kvm_new(&config, &m, &err), err, "machine");
    return m;
}

/* However long that takes: ctest's patience is the deadline. */
static void await(struct machine *m, uint64_t heartbeats)
{
    struct guest_report *r = machine_kvm_report(m);
    struct error err;

    if (!guest_report_wait(r, heartbeats, 0, DEADLINE_NEVER)) {
        OK(guest_report_failure(r, &err), err, "the guest");
        fail_msg("a wait has ended");
    }
}

static void check_clean(const char *label, struct machine *m)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    struct guest_report *r = machine_kvm_report(m);
    struct error err;

    OK(guest_report_failure(r, &err), err, label);
    if (guest_report_wrong(r, wrong) > 0)
        fail_msg("%s: page %" PRIu64 ": found 0x%" PRIx64 ", expected 0x%" PRIx64, label,
                 wrong[0].page, wrong[0].found, wrong[0].expected);
}

static struct move move_of(const char *label, unsigned n_channels)
{
    return (struct move){
        .label = label,
        .config = {.n_channels = n_channels, .return_path = true, .live.downtime_limit_ms = 300},
    };
}

/* Lands, held by its user: source and destination hold the same. Then it runs on. */
static void moves(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 2; cpus++) {
        for (unsigned n_channels = 0; n_channels <= 2; n_channels++) {
            struct machine *from = make(cpus, false), *to = make(cpus, true);
            struct move move = move_of("a move", n_channels);

            machine_resume(from, MACHINE_PAUSED);
            await(from, 5);
            move_machine(&move, from, to);
            memory_check_equal(move.label, &from->ram, &to->ram);
            check_clean("before", from);
            machine_resume(to, MACHINE_PAUSED);
            await(to, 20);
            check_clean("after", to);
            machine_free(from);
            machine_free(to);
        }
    }
}

/* The same guest, twenty times, each time to a machine that has never run. */
static void moves_on_and_on(void **state)
{
    struct machine *m = make(2, false);
    struct move move = move_of("again", 2);

    (void)state;
    machine_resume(m, MACHINE_PAUSED);
    await(m, 2);
    for (unsigned i = 0; i < 20; i++) {
        struct machine *next = make(2, true);

        machine_resume(next, MACHINE_PAUSED);
        move_machine(&move, m, next);
        await(next, 2);
        check_clean("on and on", next);
        machine_free(m);
        m = next;
    }
    machine_free(m);
}

/* Sections of a tail, by number. */
struct sections {
    size_t n;
    struct {
        char name[64];
        const uint8_t *body;
        uint64_t len;
    } of[64];
};

static void note_section(void *arg, const struct section *s, const uint8_t *body, uint64_t len)
{
    struct sections *all = arg;

    assert_true(all->n < ARRAY_LEN(all->of));
    snprintf(all->of[all->n].name, sizeof(all->of[0].name), "%.50s %u", s->name, s->instance);
    all->of[all->n].body = body;
    all->of[all->n++].len = len;
}

/* Time goes on: where in a section it does. */
static const struct {
    const char *section;
    uint64_t from, to;
} moving[] = {
    {"clock 0", 0, 16},
    {"vcpu-msrs 0", 8, 16}, /* the TSC */
    {"vcpu-msrs 1", 8, 16},
    {"vcpu-lapic 0", 0x390, 0x394}, /* the timer's current count */
    {"vcpu-lapic 1", 0x390, 0x394},
    {"guest 0", 24, 32}, /* one more move */
};

static bool is_moving(const char *section, uint64_t byte)
{
    for (size_t i = 0; i < ARRAY_LEN(moving); i++) {
        if (strcmp(moving[i].section, section) == 0 && byte >= moving[i].from &&
            byte < moving[i].to)
            return true;
    }
    return false;
}

/* All that KVM says of the two machines, after the one has become the other. */
static void check_same_state(struct machine *from, struct machine *to)
{
    struct sections a = {0}, b = {0};
    struct error err;

    OK(to->ops->save(to, &err), err, "save");
    OK(description_check(&from->devices.early, &from->devices.tail, note_section, &a, &err), err,
       "source");
    OK(description_check(&to->devices.early, &to->devices.tail, note_section, &b, &err), err,
       "destination");
    CHECK(a.n == b.n && a.n > 10, "%zu sections, then %zu", a.n, b.n);
    for (size_t i = 0; i < a.n; i++) {
        const char *name = a.of[i].name;

        CHECK(strcmp(name, b.of[i].name) == 0 && a.of[i].len == b.of[i].len, "%s", name);
        for (uint64_t at = 0; at < a.of[i].len; at++)
            CHECK(is_moving(name, at) || a.of[i].body[at] == b.of[i].body[at],
                  "section %s, byte %" PRIu64 ": was 0x%02x, is 0x%02x", name, at, a.of[i].body[at],
                  b.of[i].body[at]);
    }
}

/* Held at the source by its user, it is held at the destination, and is the same. */
static void stays_paused(void **state)
{
    struct machine *from = make(2, false), *to = make(2, true);
    struct move move = move_of("paused", 2);
    struct error err;

    (void)state;
    machine_resume(from, MACHINE_PAUSED);
    await(from, 2);
    OK(machine_stop(from, MACHINE_PAUSED, &err), err, "stop");
    machine_resume(to, MACHINE_PAUSED);
    move_machine(&move, from, to);
    memory_check_equal(move.label, &from->ram, &to->ram);
    check_same_state(from, to);
    machine_resume(to, MACHINE_PAUSED);
    await(to, 2);
    check_clean(move.label, to);
    machine_free(from);
    machine_free(to);
}

/* Into a snapshot, and from there into any number of machines. */
static void goes_on_from_a_file(void **state)
{
    struct machine *from = make(2, false), *snapshot;
    struct move move = move_of("to a file", 2);
    struct landing *landing;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    machine_resume(from, MACHINE_PAUSED);
    await(from, 5);
    OK(landing_file_new(temp_path(path, "snapshot"), false, &landing, &err), err, "file");
    move_to_landing(&move, from, landing);
    landing_free(landing);
    OK(machine_snapshot_file(path, &snapshot, &err), err, "snapshot");
    for (unsigned i = 0; i < 2; i++) {
        struct machine *to = make(2, true);

        OK(landing_machine_new(to, &landing, &err), err, "landing");
        OK(restore(snapshot, landing, &err), err, "restore");
        memory_check_equal("from a file", &from->ram, &to->ram);
        machine_resume(to, MACHINE_PAUSED);
        await(to, 5);
        check_clean("from a file", to);
        landing_free(landing);
        machine_free(to);
    }
    machine_free(snapshot);
    machine_free(from);
}

struct misfit {
    const char *label;
    struct machine_kvm_config config;
    const char *part;
};

static const struct misfit misfits[] = {
    {"more memory",
     {.guest = "counter", .bytes = 2 * MEMORY, .cpus = 1, .incoming = true},
     "give both machines the same memory"},
    {"more vCPUs",
     {.guest = "counter", .bytes = MEMORY, .cpus = 2, .incoming = true},
     "'vcpu-mp-state' 1: the stream has no section"},
};

/* What is not of this machine does not run here. */
static void refuses_what_does_not_fit(void **state)
{
    struct machine *from = make(1, false), *snapshot;
    struct move move = move_of("to a file", 0);
    struct landing *landing;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    OK(landing_file_new(temp_path(path, "misfit"), false, &landing, &err), err, "file");
    move_to_landing(&move, from, landing);
    landing_free(landing);
    OK(machine_snapshot_file(path, &snapshot, &err), err, "snapshot");
    for (size_t i = 0; i < ARRAY_LEN(misfits); i++) {
        struct machine *to;

        OK(machine_kvm_new(&misfits[i].config, &to, &err), err, misfits[i].label);
        OK(landing_machine_new(to, &landing, &err), err, "landing");
        check_refused(misfits[i].label, restore(snapshot, landing, &err), &err, ERR_PEER,
                      misfits[i].part);
        landing_free(landing);
        machine_free(to);
    }
    machine_free(snapshot);
    machine_free(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves),
        cmocka_unit_test(moves_on_and_on),
        cmocka_unit_test(stays_paused),
        cmocka_unit_test(goes_on_from_a_file),
        cmocka_unit_test(refuses_what_does_not_fit),
    };
    struct error err;

    if (machine_kvm_usable(&err) < 0)
        skip_all(err.text);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
