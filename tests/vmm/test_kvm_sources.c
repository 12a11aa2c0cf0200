/* Guests under KVM that move, with every dirty source and in memory of every kind. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/fd.h"
#include "tests/support/backings.h"
#include "tests/support/memory.h"
#include "tests/support/move.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "vmm/dirty_ring.h"
#include "vmm/machine_kvm.h"

#define MIB    (UINT64_C(1) << 20)
#define MEMORY (24 * MIB)

static const struct backing_case *const anonymous = &backing_cases[0];

static struct machine *make(const struct backing_case *c, enum dirty_kind dirty, bool incoming)
{
    struct machine_kvm_config config = {
        .guest = "counter", .bytes = MEMORY, .cpus = 2, .incoming = incoming, .dirty = dirty};
    static unsigned serial;
    char text[PATH_MAX];
    struct machine *m;
    struct error err;

    snprintf(text, sizeof(text), "%s", c->text);
    if (strcmp(c->text, "file:") == 0)
        snprintf(text, sizeof(text), "file:%s/%u", temp_dir(), serial++);
    OK(memory_backing_parse(text, &config.backing, &err), err, c->label);
    OK(machine_kvm_new(&config, &m, &err), err, c->label);
    return m;
}

/* However long that takes: ctest's patience is the deadline. */
static void await(const char *label, struct machine *m, uint64_t heartbeats)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    struct guest_report *r = machine_kvm_report(m);
    struct error err;

    if (!guest_report_wait(r, heartbeats, 0, DEADLINE_NEVER))
        OK(guest_report_failure(r, &err), err, label);
    if (guest_report_wrong(r, wrong) > 0)
        fail_msg("%s: page %" PRIu64 ": found 0x%" PRIx64 ", expected 0x%" PRIx64, label,
                 wrong[0].page, wrong[0].found, wrong[0].expected);
}

/* Its user holds it where it lands, so that both sides can be compared; then it runs on. */
static void move(const char *label, struct machine *from, struct machine *to)
{
    const struct move move = {
        .label = label,
        .config = {.n_channels = 2, .return_path = true, .live.downtime_limit_ms = 300},
    };

    machine_resume(from, MACHINE_PAUSED);
    await(label, from, 5);
    move_machine(&move, from, to);
    memory_check_equal(label, &from->ram, &to->ram);
    machine_resume(to, MACHINE_PAUSED);
    await(label, to, 20);
}

static bool is_usable(enum dirty_kind kind)
{
    struct error err;

    if (dirty_kind_usable(kind, &err) == 0)
        return true;
    print_message("%s: skipped: %s\n", dirty_kind_name(kind), err.text);
    return false;
}

static void try_all_kinds(const struct backing_case *c)
{
    for (int kind = 0; kind < DIRTY_KINDS; kind++) {
        char label[100];

        if (!is_usable((enum dirty_kind)kind))
            continue;
        struct machine *from = make(c, (enum dirty_kind)kind, false);
        struct machine *to = make(c, (enum dirty_kind)kind, true);
        snprintf(label, sizeof(label), "%s, %s", c->label, dirty_kind_name((enum dirty_kind)kind));
        move(label, from, to);
        machine_free(from);
        machine_free(to);
    }
}

static void every_source_in_every_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < BACKING_CASES; i++) {
        const struct backing_case *c = &backing_cases[i];

        if (!c->huge_bytes) {
            try_all_kinds(c);
            continue;
        }
        AUTO_FD int lock = huge_pages_lock(c->huge_bytes);
        uint64_t before = huge_pages_get(c->huge_bytes);
        uint64_t each = ALIGN_UP(MEMORY, c->huge_bytes) / c->huge_bytes;
        if (huge_pages_set(c->huge_bytes, before + 2 * each))
            try_all_kinds(c);
        else
            print_message("%s: skipped: this host gives no huge pages more\n", c->label);
        (void)!huge_pages_set(c->huge_bytes, before);
    }
}

/* Neither end asks what the other has. */
static void between_different_ones(void **state)
{
    const struct backing_case *memfd = &backing_cases[1];

    (void)state;
    for (int kind = 0; kind < DIRTY_KINDS; kind++) {
        enum dirty_kind other = (enum dirty_kind)((kind + 1) % DIRTY_KINDS);

        if (!is_usable((enum dirty_kind)kind) || !is_usable(other))
            continue;
        struct machine *a = make(anonymous, (enum dirty_kind)kind, false);
        struct machine *b = make(memfd, other, true);
        struct machine *c = make(anonymous, (enum dirty_kind)kind, true);
        move("there", a, b);
        move("and on", b, c);
        machine_free(a);
        machine_free(b);
        machine_free(c);
    }
}

/* One that would write a page in hours moves all the same, and then is free. */
static void limits_what_is_dirty(void **state)
{
    struct machine *from, *to;

    (void)state;
    if (!is_usable(DIRTY_RING))
        return;
    from = make(anonymous, DIRTY_RING, false);
    to = make(anonymous, DIRTY_RING, true);
    machine_resume(from, MACHINE_PAUSED);
    await("before", from, 5);
    from->ops->limit_dirty(from, 1); /* without a migration nothing is counted, and nobody held */
    move("limited", from, to);
    machine_free(from);
    machine_free(to);
    from = make(anonymous, DIRTY_LOG, false);
    CHECK(!from->ops->limit_dirty, "the log does not know who wrote");
    machine_free(from);
}

static void refuses(void **state)
{
    static const struct refuse_case {
        const char *label;
        struct machine_kvm_config config;
        const char *part;
    } cases[] = {
        {"an odd ring", {.dirty = DIRTY_RING, .dirty_ring = 1000}, "expected a power of two"},
        {"a ring for the log", {.dirty_ring = 4096}, "but the dirty source is 'log'"},
        {"no file",
         {.backing = {.kind = MEMORY_FILE, .path = "/dev/null"}},
         "memory, file: /dev/null: not a regular file"},
    };
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct machine_kvm_config config = cases[i].config;
        struct machine *m;

        config.guest = "counter";
        config.bytes = MEMORY;
        config.cpus = 1;
        check_refused(cases[i].label, machine_kvm_new(&config, &m, &err), &err, ERR_USAGE,
                      cases[i].part);
    }
    enum dirty_kind kind;
    check_refused("no such source", dirty_kind_find("rings", &kind, &err), &err, ERR_USAGE,
                  "expected log|ring|uffd");
    for (int i = 0; i < DIRTY_KINDS; i++) {
        OK(dirty_kind_find(dirty_kind_name((enum dirty_kind)i), &kind, &err), err, "its name");
        CHECK((int)kind == i, "%s", dirty_kind_name(kind));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_source_in_every_memory),
        cmocka_unit_test(between_different_ones),
        cmocka_unit_test(limits_what_is_dirty),
        cmocka_unit_test(refuses),
    };
    struct error err;

    if (machine_kvm_usable(&err) < 0)
        skip_all(err.text);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
