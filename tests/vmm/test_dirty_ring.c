#include "vmm/dirty_ring.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "ram/resident.h"
#include "tests/support/dirty_guest.h"
#include "tests/support/dirty_trial.h"
#include "tests/support/test.h"
#include "vmm/dirty_log.h"
#include "vmm/dirty_uffd.h"
#include "vmm/guest_memory.h"

#define MIB        (UINT64_C(1) << 20)
#define MEMORY     (32 * MIB)
#define WORK       (GUEST_WORK / RAM_PAGE_SIZE)
#define WORK_PAGES (MEMORY / RAM_PAGE_SIZE - WORK)

static const struct dirty_guest_config one_small_ring = {MEMORY, WORK, WORK_PAGES, 1, 1024};
static const struct dirty_guest_config two_small_rings = {MEMORY, WORK, WORK_PAGES, 2, 1024};

/* --- all sources, the same guest ------------------------------------------------------------- */

/* In scripts/lab each round takes four times as long. */
static unsigned rounds(unsigned many)
{
    return is_in_lab() ? many / 4 : many;
}

static struct dirty_source *use_ring(struct dirty_guest *g)
{
    return g->ring;
}

static struct dirty_source *use_log(struct dirty_guest *g)
{
    struct dirty_source *s;
    struct error err;

    OK(dirty_log_new(&g->kvm, g->slots, g->n_slots, &g->map, &s, &err), err, "log");
    return s;
}

static struct dirty_source *use_uffd(struct dirty_guest *g)
{
    struct dirty_source *s;
    struct error err;

    OK(dirty_uffd_new(&g->map, &s, &err), err, "userfaultfd");
    return s;
}

static void leave(struct dirty_source *s)
{
    (void)s; /* the guest's */
}

static const struct source_case {
    const char *label;
    unsigned ring_entries;
    struct dirty_source *(*use)(struct dirty_guest *g);
    void (*free)(struct dirty_source *s);
    int (*usable)(struct error *err);
} source_cases[] = {
    {"a small ring", DIRTY_RING_MIN, use_ring, leave, dirty_ring_usable},
    {"a large ring", DIRTY_RING_MAX, use_ring, leave, dirty_ring_usable},
    {"KVM's log", 0, use_log, dirty_log_free, NULL},
    {"userfaultfd", 0, use_uffd, dirty_uffd_free, dirty_uffd_usable},
    {"userfaultfd, and a ring that rests", 1024, use_uffd, dirty_uffd_free, dirty_uffd_usable},
};

static void try_source(const struct source_case *c, const struct dirty_guest_config *config)
{
    struct dirty_guest g;

    dirty_guest_start(config, &g);
    struct dirty_source *s = c->use(&g);
    for (unsigned time = 0; time < 2; time++) { /* after a stop it can start again */
        dirty_guest_run(&g);
        dirty_guest_progress(&g);
        uint64_t pages = dirty_trial_run(&(struct dirty_trial){
            .label = c->label,
            .source = s,
            .map = &g.map,
            .rounds = rounds(12),
            .progress = dirty_guest_progress,
            .settle = dirty_guest_settle,
            .arg = &g,
        });
        CHECK(pages > rounds(12) * 1000, "%s: only %" PRIu64 " pages", c->label, pages);
    }
    c->free(s);
    dirty_guest_end(&g);
}

static void loses_no_write(void **state)
{
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(source_cases); i++) {
        const struct source_case *c = &source_cases[i];

        if (c->usable && c->usable(&err) < 0) {
            print_message("skipped: %s: %s\n", c->label, err.text);
            continue;
        }
        for (unsigned cpus = 1; cpus <= DIRTY_GUEST_CPUS; cpus++) {
            const struct dirty_guest_config config = {MEMORY, WORK, WORK_PAGES, cpus,
                                                      c->ring_entries};

            if (is_in_lab() && cpus != 1 + i % DIRTY_GUEST_CPUS)
                continue; /* there one number of vCPUs for each source, in turn */
            try_source(c, &config);
        }
    }
}

/* Two slots of one block: the guest writes around the border at 3 GiB. */
static void knows_both_slots(void **state)
{
    const uint64_t border = GUEST_LOW_MAX / RAM_PAGE_SIZE;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(source_cases); i++) {
        const struct source_case *c = &source_cases[i];
        const struct dirty_guest_config config = {GUEST_LOW_MAX + 16 * MIB, border - 2048, 4096, 2,
                                                  c->ring_entries};

        /* userfaultfd knows no slots, and the large ring behaves as the small one here. */
        if (c->use != use_uffd && c->ring_entries != DIRTY_RING_MAX)
            try_source(c, &config);
    }
}

/* A guest that never ran: no source reports memory that was never touched, in either slot. */
static void finds_only_what_exists(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(source_cases); i++) {
        const struct source_case *c = &source_cases[i];
        const struct dirty_guest_config config = {GUEST_LOW_MAX + 16 * MIB, WORK, WORK_PAGES, 1,
                                                  c->ring_entries};
        struct dirty_guest g;
        struct error err;

        if (c->usable && c->usable(&err) < 0)
            continue;
        dirty_guest_start(&config, &g);
        g.map.blocks[0].host[GUEST_LOW_MAX] = 1;
        struct dirty_source *s = c->use(&g);
        struct dirty_bitmap *d = dirty_trial_bitmaps(&g.map);
        OK(ram_resident(&g.map.blocks[0], &d[0], &err), err, c->label);
        CHECK(dirty_bitmap_count(&d[0]) > 0, "%s: nothing exists", c->label);
        OK(s->ops->start(s, &err), err, c->label);
        uint64_t more = dirty_trial_sync(s, &g.map, d);
        CHECK(more == 0, "%s: %" PRIu64 " pages that do not exist", c->label, more);
        s->ops->stop(s);
        c->free(s);
        dirty_trial_bitmaps_free(&g.map, d);
        dirty_guest_end(&g);
    }
}

/* --- rings that are full --------------------------------------------------------------------- */

/* No sync happens: the vCPUs' own threads empty the rings, and no page is lost. */
static void makes_room(void **state)
{
    struct dirty_guest g;
    struct error err;

    (void)state;
    dirty_guest_start(&two_small_rings, &g);
    struct dirty_bitmap *d = dirty_trial_bitmaps(&g.map);
    OK(g.ring->ops->start(g.ring, &err), err, "start");
    dirty_guest_run(&g);
    for (unsigned i = 0; i < rounds(20); i++)
        dirty_guest_progress(&g);
    dirty_guest_settle(&g);
    uint64_t pages = dirty_trial_sync(g.ring, &g.map, d);
    struct dirty_ring_counts a = dirty_ring_counts(g.ring, 0), b = dirty_ring_counts(g.ring, 1);
    CHECK(g.full_exits > 4, "%" PRIu64 " times full", g.full_exits);
    CHECK(pages > WORK_PAGES / 2, "%" PRIu64 " pages", pages);
    CHECK(a.pages + b.pages == pages, "%" PRIu64 " and %" PRIu64 " pages of %" PRIu64, a.pages,
          b.pages, pages);
    CHECK(dirty_trial_sync(g.ring, &g.map, d) == 0, "nobody writes");
    dirty_trial_bitmaps_free(&g.map, d);
    dirty_guest_end(&g);
}

/* Only the second vCPU runs. */
static void knows_who_wrote(void **state)
{
    struct dirty_guest g;
    struct error err;

    (void)state;
    dirty_guest_start(&two_small_rings, &g);
    struct dirty_bitmap *d = dirty_trial_bitmaps(&g.map);
    OK(g.ring->ops->start(g.ring, &err), err, "start");
    vcpu_resume(g.vcpus[1]);
    while (dirty_ring_counts(g.ring, 1).pages == 0)
        dirty_trial_sync(g.ring, &g.map, d);
    CHECK(dirty_ring_counts(g.ring, 0).pages == 0, "the first has not run");
    dirty_trial_bitmaps_free(&g.map, d);
    dirty_guest_end(&g);
}

/* However start, sync and stop meet full rings: no thread waits without end, and no write is
 * lost. */
static void starts_and_stops(void **state)
{
    struct dirty_guest g;
    struct error err;

    (void)state;
    dirty_guest_start(&two_small_rings, &g);
    struct dirty_bitmap *d = dirty_trial_bitmaps(&g.map);
    g.ring->ops->stop(g.ring); /* without a start */
    dirty_guest_run(&g);
    for (unsigned i = 0; i < 30; i++) {
        OK(g.ring->ops->start(g.ring, &err), err, "start");
        dirty_trial_sync(g.ring, &g.map, d);
        if (i % 4 == 0)
            dirty_guest_progress(&g);
        dirty_trial_sync(g.ring, &g.map, d);
        g.ring->ops->stop(g.ring);
    }
    dirty_trial_run(&(struct dirty_trial){
        .label = "at last",
        .source = g.ring,
        .map = &g.map,
        .rounds = 5,
        .progress = dirty_guest_progress,
        .settle = dirty_guest_settle,
        .arg = &g,
    });
    dirty_trial_bitmaps_free(&g.map, d);
    dirty_guest_end(&g);
}

/* --- signals --------------------------------------------------------------------------------- */

struct nudger {
    struct dirty_guest *g;
    atomic_bool stop;
};

static void *nudge_on(void *arg)
{
    struct nudger *n = arg;

    while (!atomic_load(&n->stop)) {
        for (unsigned i = 0; i < n->g->n_vcpus; i++)
            vcpu_nudge(n->g->vcpus[i]);
        sched_yield();
    }
    return NULL;
}

/* A vCPU gets a signal while it empties its ring: this must not lose a page. */
static void loses_no_write_to_signals(void **state)
{
    struct dirty_guest g;
    pthread_t thread;

    (void)state;
    dirty_guest_start(&two_small_rings, &g);
    struct nudger n = {.g = &g};
    dirty_guest_run(&g);
    CHECK(pthread_create(&thread, NULL, nudge_on, &n) == 0, "thread");
    dirty_trial_run(&(struct dirty_trial){
        .label = "nudged all the time",
        .source = g.ring,
        .map = &g.map,
        .rounds = rounds(20),
        .progress = dirty_guest_progress,
        .settle = dirty_guest_settle,
        .arg = &g,
    });
    atomic_store(&n.stop, true);
    pthread_join(thread, NULL);
    dirty_guest_end(&g);
}

/* --- the limit ------------------------------------------------------------------------------- */

#define LIMIT    (8 * MIB) /* per second and vCPU */
#define WINDOW_S 1
#define BURST    (16 * MIB) /* what a vCPU may have written too much at the end, on a busy host */

/* Rounds until both vCPUs have written twice; returns how fast each was, by its count. */
static void measure(struct dirty_guest *g, struct dirty_bitmap *d, double rates[2],
                    struct dirty_ring_counts counts[2])
{
    struct dirty_ring_counts before[2];
    uint64_t from = clock_ns();

    for (unsigned i = 0; i < 2; i++)
        before[i] = dirty_ring_counts(g->ring, i);
    while (clock_ns() < from + WINDOW_S * NS_PER_S) {
        dirty_guest_progress(g);
        dirty_trial_sync(g->ring, &g->map, d);
        for (uint64_t w = 0; w < dirty_bitmap_words(d); w++)
            dirty_bitmap_take(d, w);
    }
    double seconds = (double)(clock_ns() - from) / (double)NS_PER_S;
    for (unsigned i = 0; i < 2; i++) {
        counts[i] = dirty_ring_counts(g->ring, i);
        rates[i] = (double)(counts[i].pages - before[i].pages) * RAM_PAGE_SIZE / seconds;
    }
}

/* For every length of the ring: the limit does not wait until the ring is full. */
static void limits(void **state)
{
    static const unsigned entries[] = {DIRTY_RING_MIN, DIRTY_RING_MAX};

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(entries); n++) {
        const struct dirty_guest_config config = {MEMORY, WORK, WORK_PAGES, 2, entries[n]};
        struct dirty_ring_counts counts[2];
        struct dirty_guest g;
        struct error err;
        double rates[2];

        dirty_guest_start(&config, &g);
        struct dirty_bitmap *d = dirty_trial_bitmaps(&g.map);
        OK(g.ring->ops->start(g.ring, &err), err, "start");
        dirty_guest_run(&g);
        measure(&g, d, rates, counts);
        CHECK(counts[0].held_ns + counts[1].held_ns == 0, "held without a limit");
        dirty_ring_limit(g.ring, LIMIT);
        measure(&g, d, rates, counts);
        for (unsigned i = 0; i < 2; i++) {
            CHECK(rates[i] < LIMIT + (double)BURST / WINDOW_S, "%u entries, vCPU %u: %.0f bytes/s",
                  entries[n], i, rates[i]);
            CHECK(counts[i].held_ns > 0 || rates[i] < LIMIT, "vCPU %u was never held", i);
        }
        dirty_ring_limit(g.ring, 0);
        dirty_guest_progress(&g); /* no vCPU is delayed any more */
        dirty_trial_bitmaps_free(&g.map, d);
        dirty_guest_end(&g);
    }
}

static void await_held(struct dirty_guest *g)
{
    uint64_t before = dirty_ring_counts(g->ring, 0).held_ns;

    while (dirty_ring_counts(g->ring, 0).held_ns == before)
        sched_yield(); /* held_ns grows while the vCPU sleeps */
}

/* A vCPU that would sleep for hours must pause, resume and end, or this test never ends. */
static void wakes_who_is_held(void **state)
{
    struct dirty_guest g;
    struct error err;

    (void)state;
    dirty_guest_start(&one_small_ring, &g);
    OK(g.ring->ops->start(g.ring, &err), err, "start");
    dirty_guest_run(&g);
    dirty_guest_progress(&g);
    dirty_ring_limit(g.ring, 1);
    await_held(&g);
    dirty_guest_settle(&g);
    dirty_guest_run(&g);
    await_held(&g); /* its sleep is not over yet */
    dirty_ring_limit(g.ring, 0);
    dirty_guest_progress(&g);
    dirty_ring_limit(g.ring, 1);
    await_held(&g);
    g.ring->ops->stop(g.ring);
    dirty_guest_progress(&g);
    OK(g.ring->ops->start(g.ring, &err), err, "start");
    dirty_ring_limit(g.ring, 1);
    await_held(&g);
    dirty_guest_end(&g);
}

/* --- what cannot be -------------------------------------------------------------------------- */

static void refuses(void **state)
{
    static const unsigned bad[] = {0, 1, 512, 1023, 1025, 5000, 2 * DIRTY_RING_MAX, UINT32_MAX};
    struct dirty_guest g;
    struct error err;

    (void)state;
    dirty_guest_start(&(struct dirty_guest_config){MEMORY, WORK, WORK_PAGES, 1, 0}, &g);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_refused("entries", dirty_ring_enable(&g.kvm, bad[i], &err), &err, ERR_USAGE,
                      "expected a power of two, 1024 to 65536");
    check_refused("too late", dirty_ring_enable(&g.kvm, 1024, &err), &err, ERR_SYSTEM,
                  "KVM: dirty ring");
    dirty_guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_no_write),
        cmocka_unit_test(knows_both_slots),
        cmocka_unit_test(finds_only_what_exists),
        cmocka_unit_test(makes_room),
        cmocka_unit_test(knows_who_wrote),
        cmocka_unit_test(starts_and_stops),
        cmocka_unit_test(loses_no_write_to_signals),
        cmocka_unit_test(limits),
        cmocka_unit_test(wakes_who_is_held),
        cmocka_unit_test(refuses),
    };
    struct error err;

    if (dirty_ring_usable(&err) < 0)
        skip_all(err.text);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
