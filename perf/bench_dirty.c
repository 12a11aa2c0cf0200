/*
 * bench_dirty [MIB [RUNS [GUEST]]]: what it costs to know which pages a guest under KVM writes: all
 * dirty sources compared, in one run and by turns. The guest has one vCPU. The default guest,
 * `counter`, reads and writes every page one after the other. The guest itself reports how many
 * pages it verifies per second, with and without a source. A round is 100 ms of the guest and a
 * sync, and for the log the arming of the pages that were dirty.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "ram/stripe.h"
#include "vmm/machine_kvm.h"

#define ROUND_NS (100 * NS_PER_MS)
#define ROUNDS   20

struct figures {
    double before, during, after; /* pages/s that the guest verifies */
    double start_ms, stop_ms;
    double round_ms;      /* host's time for a round: sync, and arming */
    double ns_per_page;   /* the same time for each dirty page */
    double dirty_percent; /* of memory, in a round */
};

static _Noreturn void die(const struct error *err)
{
    fprintf(stderr, "bench_dirty: %s\n", err->text);
    exit(1);
}

static double ms(uint64_t from)
{
    return (double)(clock_ns() - from) / (double)NS_PER_MS;
}

static void wait_ns(uint64_t ns)
{
    struct timespec until = deadline_timespec(clock_ns() + ns);

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static uint64_t verified(struct machine *m)
{
    struct guest_verdict verdict;

    guest_report_verdict(machine_guest_report(m), &verdict);
    return verdict.pages_verified;
}

/* Lets the guest run for a second, or longer until it has been through its memory. */
static double rate(struct machine *m, uint64_t pages)
{
    uint64_t first = verified(m), from = clock_ns();

    do {
        wait_ns(NS_PER_S);
    } while (verified(m) - first < pages);
    return (double)(verified(m) - first) / ms(from) * 1000;
}

static void arm(struct dirty_source *s, struct dirty_bitmap *d)
{
    uint64_t words[STRIPE_WORDS];
    struct error err;

    for (uint64_t at = 0; at < dirty_bitmap_words(d); at += STRIPE_WORDS) {
        uint64_t any = 0;

        for (unsigned i = 0; i < STRIPE_WORDS; i++) {
            words[i] = at + i < dirty_bitmap_words(d) ? dirty_bitmap_take(d, at + i) : 0;
            any |= words[i];
        }
        if (any && s->ops->rearm &&
            s->ops->rearm(s, 0, at * 64, MIN(STRIPE_PAGES, d->n_pages - at * 64), words, &err) < 0)
            die(&err);
    }
}

static void rounds(struct machine *m, struct figures *f)
{
    struct dirty_bitmap d;
    uint64_t pages = 0, first = 0, from = 0;
    struct error err;

    if (dirty_bitmap_init(&d, ram_block_pages(&m->ram.blocks[0]), &err) < 0)
        die(&err);
    for (unsigned i = 0; i <= ROUNDS; i++) {
        uint64_t n, began = clock_ns();

        if (m->dirty->ops->sync(m->dirty, &d, &n, &err) < 0)
            die(&err);
        arm(m->dirty, &d);
        if (i == 0) { /* in KVM's log every page is dirty at first */
            first = verified(m);
            from = clock_ns();
        } else {
            f->round_ms += ms(began) / ROUNDS;
            pages += n;
        }
        wait_ns(ROUND_NS);
    }
    f->during = (double)(verified(m) - first) / ms(from) * 1000;
    f->ns_per_page = f->round_ms * 1e6 * ROUNDS / (double)MAX(pages, UINT64_C(1));
    f->dirty_percent = 100.0 * (double)pages / ROUNDS / (double)d.n_pages;
    dirty_bitmap_done(&d);
}

static struct figures measure(enum dirty_kind kind, enum memory_kind memory, uint64_t mib,
                              const char *guest)
{
    const struct machine_guest_config config = {
        .guest = guest,
        .bytes = mib << 20,
        .cpus = 1,
        .backing = {.kind = memory},
        .dirty = kind,
    };
    struct figures f = {0};
    struct machine *m;
    struct error err;

    if (machine_kvm_new(&config, &m, &err) < 0)
        die(&err);
    uint64_t pages = ram_block_pages(&m->ram.blocks[0]);
    machine_resume(m, MACHINE_PAUSED);
    rate(m, pages); /* now every page has been touched */
    f.before = rate(m, pages);
    uint64_t from = clock_ns();
    if (m->dirty->ops->start(m->dirty, &err) < 0)
        die(&err);
    f.start_ms = ms(from);
    rounds(m, &f);
    from = clock_ns();
    m->dirty->ops->stop(m->dirty);
    f.stop_ms = ms(from);
    rate(m, pages);
    f.after = rate(m, pages);
    machine_free(m);
    return f;
}

int main(int argc, char **argv)
{
    static const char *const memories[] = {"anon", "memfd"};
    uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 1024;
    unsigned long runs = argc > 2 ? strtoul(argv[2], NULL, 10) : 3;
    const char *guest = argc > 3 ? argv[3] : "counter";

    printf("%" PRIu64 " MiB, %s, rounds of 100 ms; kpages/s of the guest\n", mib, guest);
    printf(
        "memory source | before during after | start ms stop ms | round ms ns/page | dirty %%\n");
    for (unsigned long run = 0; run < runs; run++) {
        for (unsigned i = 0; i < 2 * DIRTY_KINDS; i++) {
            enum dirty_kind kind = (enum dirty_kind)(i % DIRTY_KINDS);
            enum memory_kind memory = i < DIRTY_KINDS ? MEMORY_ANON : MEMORY_MEMFD;
            struct figures f = measure(kind, memory, mib, guest);

            printf("%-6s %-6s | %6.0f %6.0f %5.0f | %8.2f %7.2f | %8.2f %7.0f | %7.1f\n",
                   memories[memory], dirty_kind_name(kind), f.before / 1e3, f.during / 1e3,
                   f.after / 1e3, f.start_ms, f.stop_ms, f.round_ms, f.ns_per_page,
                   f.dirty_percent);
            fflush(stdout);
        }
    }
    return 0;
}
