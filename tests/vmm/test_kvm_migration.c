/* Guests under KVM that move: what they find at the destination, and what they report. */
#include <inttypes.h>

#include "capture/target.h"
#include "migration/dirty_rate.h"
#include "tests/support/guests.h"
#include "tests/support/memory.h"
#include "tests/support/move.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

#define MEMORY (UINT64_C(24) << 20)

static struct machine *make(unsigned cpus, bool incoming)
{
    const struct machine_guest_config config = {
        .guest = "counter", .bytes = MEMORY, .cpus = cpus, .incoming = incoming};

    return guest_new("machine", &config);
}

static struct move move_of(const char *label, unsigned n_channels)
{
    return (struct move){
        .label = label,
        .config = {.n_channels = n_channels, .return_path = true, .live.downtime_limit_ms = 300},
    };
}

/* The user has paused the guest: after the move source and destination hold the same.
 * Then it runs on. */
static void moves(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 2; cpus++) {
        for (unsigned n_channels = 0; n_channels <= 2; n_channels++) {
            struct machine *from = make(cpus, false), *to = make(cpus, true);
            struct move move = move_of("a move", n_channels);

            machine_resume(from, MACHINE_PAUSED);
            guest_await("guest", from, 5);
            move_machine(&move, from, to);
            memory_check_equal(move.label, &from->ram, &to->ram);
            guest_check_clean("before", from);
            machine_resume(to, MACHINE_PAUSED);
            guest_await("guest", to, 20);
            guest_check_clean("after", to);
            machine_free(from);
            machine_free(to);
        }
    }
}

/* The same guest moves twenty times, each time to a machine that has never run. */
static void moves_on_and_on(void **state)
{
    struct machine *m = make(2, false);
    struct move move = move_of("again", 2);

    (void)state;
    machine_resume(m, MACHINE_PAUSED);
    guest_await("guest", m, 2);
    for (unsigned i = 0; i < 20; i++) {
        struct machine *next = make(2, true);

        machine_resume(next, MACHINE_PAUSED);
        move_machine(&move, m, next);
        guest_await("guest", next, 2);
        guest_check_clean("on and on", next);
        machine_free(m);
        m = next;
    }
    machine_free(m);
}

/* The user paused it at the source: it is paused at the destination, and is the same. */
static void stays_paused(void **state)
{
    struct machine *from = make(2, false), *to = make(2, true);
    struct move move = move_of("paused", 2);
    struct error err;

    (void)state;
    machine_resume(from, MACHINE_PAUSED);
    guest_await("guest", from, 2);
    OK(machine_stop(from, MACHINE_PAUSED, &err), err, "stop");
    machine_resume(to, MACHINE_PAUSED);
    move_machine(&move, from, to);
    memory_check_equal(move.label, &from->ram, &to->ram);
    guest_check_same(move.label, from, to);
    machine_resume(to, MACHINE_PAUSED);
    guest_await("guest", to, 2);
    guest_check_clean(move.label, to);
    machine_free(from);
    machine_free(to);
}

/* Into a snapshot, and from it into several machines. */
static void goes_on_from_a_file(void **state)
{
    struct machine *from = make(2, false);
    struct move move = move_of("to a file", 2);
    struct target *target;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    machine_resume(from, MACHINE_PAUSED);
    guest_await("guest", from, 5);
    OK(target_file_new(&(struct target_config){.path = temp_path(path, "snapshot")}, &target, &err),
       err, "file");
    move_to_target(&move, from, target);
    target_free(target);
    for (unsigned i = 0; i < 2; i++) {
        struct machine *to = make(2, true);

        OK(move_from_file(path, to, &err), err, "from a file");
        memory_check_equal("from a file", &from->ram, &to->ram);
        machine_resume(to, MACHINE_PAUSED);
        guest_await("guest", to, 5);
        guest_check_clean("from a file", to);
        machine_free(to);
    }
    machine_free(from);
}

struct misfit {
    const char *label;
    struct machine_guest_config config;
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

/* A snapshot from another kind of machine is refused. */
static void refuses_what_does_not_fit(void **state)
{
    struct machine *from = make(1, false);
    struct move move = move_of("to a file", 0);
    struct target *target;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    OK(target_file_new(&(struct target_config){.path = temp_path(path, "misfit")}, &target, &err),
       err, "file");
    move_to_target(&move, from, target);
    target_free(target);
    for (size_t i = 0; i < ARRAY_LEN(misfits); i++) {
        struct machine *to;

        OK(machine_kvm_new(&misfits[i].config, &to, &err), err, misfits[i].label);
        check_refused(misfits[i].label, move_from_file(path, to, &err), &err, ERR_PEER,
                      misfits[i].part);
        machine_free(to);
    }
    machine_free(from);
}

/* A guest that has written much, and now writes almost nothing: the dirty rate shows that
 * with every source. */
static void knows_that_nothing_is_written(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < DIRTY_KINDS; kind++) {
        const struct machine_guest_config config = {
            .guest = "idle", .bytes = MEMORY, .cpus = 1, .dirty = kind};
        enum dirty_rate_status status;
        uint64_t bytes_per_s = 0;
        struct dirty_rate *d;
        struct error err;

        if (dirty_kind_usable(kind, &err) < 0)
            continue;
        struct machine *m = guest_new(dirty_kind_name(kind), &config);
        const struct dirty_rate_config rate = {m, DIRTY_RATE_LOG, 500, 0};
        memset(m->ram.blocks[0].host + MEMORY / 2, 1, MEMORY / 2); /* the guest does not use it */
        machine_resume(m, MACHINE_PAUSED);
        guest_await("guest", m, 2);
        OK(dirty_rate_start(&rate, &d, &err), err, dirty_kind_name(kind));
        while ((status = dirty_rate_read(d, &bytes_per_s)) == DIRTY_RATE_MEASURING)
            guest_await("guest", m, 1);
        CHECK(status == DIRTY_RATE_MEASURED, "%s", dirty_kind_name(kind));
        CHECK(bytes_per_s < MEMORY / 8, "%s: %" PRIu64 " bytes/s", dirty_kind_name(kind),
              bytes_per_s);
        dirty_rate_free(d);
        machine_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves),
        cmocka_unit_test(moves_on_and_on),
        cmocka_unit_test(stays_paused),
        cmocka_unit_test(goes_on_from_a_file),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(knows_that_nothing_is_written),
    };
    struct error err;

    if (machine_kvm_usable(&err) < 0)
        skip_all(err.text);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
