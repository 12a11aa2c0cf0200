#include "tests/support/guests.h"

#include <inttypes.h>

#include "base/clock.h"
#include "stream/description.h"
#include "tests/support/test.h"

struct machine *guest_new(const char *label, const struct machine_guest_config *config)
{
    struct machine *m;
    struct error err;

    OK(machine_kvm_new(config, &m, &err), err, label);
    return m;
}

static void has_ended(const char *label, struct machine *m)
{
    struct error err;

    OK(guest_report_failure(machine_guest_report(m), &err), err, label);
    fail_msg("%s: a wait has ended", label);
}

void guest_await(const char *label, struct machine *m, uint64_t heartbeats)
{
    if (!guest_report_wait(machine_guest_report(m), heartbeats, 0, DEADLINE_NEVER))
        has_ended(label, m);
}

void guest_await_swept(const char *label, struct machine *m, uint64_t sweeps)
{
    if (!guest_report_wait_swept(machine_guest_report(m), sweeps, DEADLINE_NEVER))
        has_ended(label, m);
}

void guest_check_clean(const char *label, struct machine *m)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    struct guest_report *r = machine_guest_report(m);
    char text[GUEST_WRONG_TEXT] = "";
    struct guest_verdict verdict;
    struct error err;

    OK(guest_report_failure(r, &err), err, label);
    guest_report_verdict(r, &verdict);
    if (guest_report_wrong(r, wrong) > 0)
        guest_report_describe(&wrong[0], text, sizeof(text));
    CHECK(verdict.errors == 0, "%s: %" PRIu64 " errors, the first: %s", label, verdict.errors,
          text);
}

/* --- what it is ------------------------------------------------------------------------------ */

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

/* The bytes of a section that may differ: time goes on, and some values are derived from others. */
static const struct {
    const char *section;
    uint64_t from, to;
} moving[] = {
    {"run-state 0", 0, 1}, /* paused: each side's own user decides */
    {"clock 0", 0, 16},
    {"vcpu-msrs 0", 8, 16}, /* the TSC */
    {"vcpu-msrs 1", 8, 16},
    {"vcpu-lapic 0", 0x390, 0x394}, /* the timer's current count */
    {"vcpu-lapic 1", 0x390, 0x394},
    /* The processor priority. KVM derives it from the task priority and the interrupts in service,
     * which must be equal, but only when it enters the guest again. */
    {"vcpu-lapic 0", 0xa0, 0xa4},
    {"vcpu-lapic 1", 0xa0, 0xa4},
    {"guest 0", 24, 32}, /* the count of moves: one more */
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

void guest_check_same(const char *label, const struct machine *left, struct machine *come)
{
    struct sections a = {0}, b = {0};
    struct error err;

    OK(come->ops->save(come, &err), err, label);
    OK(description_check(&left->devices.early, &left->devices.tail, note_section, &a, &err), err,
       label);
    OK(description_check(&come->devices.early, &come->devices.tail, note_section, &b, &err), err,
       label);
    CHECK(a.n == b.n && a.n > 10, "%s: %zu sections, then %zu", label, a.n, b.n);
    for (size_t i = 0; i < a.n; i++) {
        const char *name = a.of[i].name;

        CHECK(strcmp(name, b.of[i].name) == 0 && a.of[i].len == b.of[i].len, "%s: %s", label, name);
        for (uint64_t at = 0; at < a.of[i].len; at++)
            CHECK(is_moving(name, at) || a.of[i].body[at] == b.of[i].body[at],
                  "%s: section %s, byte %" PRIu64 ": was 0x%02x, is 0x%02x", label, name, at,
                  a.of[i].body[at], b.of[i].body[at]);
    }
}
