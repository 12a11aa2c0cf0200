#include "vmm/dirty_ring.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/thread.h"
#include "vmm/kvm_ring.h"

/* How often rings are harvested while there is a limit. Short, because a vCPU sleeps in one piece
 * for what it has written too much in a tick. */
#define TICK_NS (5 * NS_PER_MS)

/* A vCPU that has written nothing may write this much of the limit at once. */
#define BURST_NS (50 * NS_PER_MS)

/* The longest single sleep; a vCPU that still owes after it sleeps again. */
#define SLEEP_MAX_S 3600.0

struct ring {
    /* Under the source's lock. */
    struct kvm_ring entries;
    uint64_t pages;
    uint64_t held_ns;
    uint64_t sleeps_since; /* 0: it does not sleep */
    double credit;         /* bytes; below 0 the vCPU owes */
    uint64_t credit_at;
};

struct dirty_ring {
    struct dirty_source base;

    /* Set before the guest runs, read-only after. */
    struct dirty_ring_config config;
    unsigned n_rings;
    struct thread thread;

    _Atomic uint64_t limit; /* bytes/s; written under lock */

    /* Any thread, under lock. A vCPU that sleeps does not hold it. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool end;
    bool asked; /* the thread has to harvest; the result is in `answer` */
    int answer;
    struct error answer_err;
    bool reset_due;           /* pages were harvested, and not yet protected again */
    struct dirty_bitmap *log; /* of each block: pages harvested, and not yet synced */
    struct ring rings[];
};

static struct dirty_ring *ring_of(struct dirty_source *s)
{
    return CONTAINER_OF(s, struct dirty_ring, base);
}

/* --- the capability -------------------------------------------------------------------------- */

static int no_ring(struct error *err)
{
    return err_set(err, ERR_SYSTEM, "KVM: no dirty ring on this host");
}

int dirty_ring_usable(struct error *err)
{
    AUTO_FD int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    unsigned most;

    if (fd < 0)
        return err_sys(err, "/dev/kvm");
    return kvm_ring_capability(fd, &most) ? (int)most : no_ring(err);
}

int dirty_ring_enable(const struct kvm *kvm, unsigned entries, struct error *err)
{
    unsigned most;

    if (entries < DIRTY_RING_MIN || entries > DIRTY_RING_MAX || (entries & (entries - 1)))
        return err_set(err, ERR_USAGE,
                       "dirty ring of %u entries, expected a power of two, %d to %d", entries,
                       DIRTY_RING_MIN, DIRTY_RING_MAX);
    uint32_t capability = kvm_ring_capability(kvm->vm, &most);
    if (!capability)
        return no_ring(err);
    if (entries > most)
        return err_set(err, ERR_USAGE, "dirty ring of %u entries, this host has at most %u",
                       entries, most);
    return kvm_enable(kvm, capability, kvm_ring_bytes(entries), "dirty ring", err);
}

/* --- the limit: a bucket of bytes for each vCPU ---------------------------------------------- */

static void fill_bucket(struct ring *ring, uint64_t limit, uint64_t now)
{
    double rate = (double)limit / (double)NS_PER_S;

    ring->credit += rate * (double)(now - ring->credit_at);
    ring->credit = MIN(ring->credit, rate * (double)BURST_NS);
    ring->credit_at = now;
}

static uint64_t owed_ns(struct ring *ring, uint64_t limit)
{
    if (!limit)
        return 0;
    fill_bucket(ring, limit, clock_ns());
    if (ring->credit >= 0)
        return 0;
    return (uint64_t)(MIN(-ring->credit / (double)limit, SLEEP_MAX_S) * (double)NS_PER_S) + 1;
}

/* --- harvest, under the lock ----------------------------------------------------------------- */

/* entry->slot has the address space in its upper half, 0 here: x86 has a second one, for SMM. */
static const struct kvm_slot *find_slot(const struct dirty_ring *r,
                                        const struct kvm_dirty_gfn *entry)
{
    for (size_t i = 0; i < r->config.n_slots; i++) {
        const struct kvm_slot *slot = &r->config.slots[i];

        if (slot->id == entry->slot && entry->offset < slot->bytes >> RAM_PAGE_BITS)
            return slot;
    }
    return NULL;
}

static int note(struct dirty_ring *r, struct ring *ring, const struct kvm_dirty_gfn *entry,
                struct error *err)
{
    const struct kvm_slot *slot = find_slot(r, entry);

    if (!slot)
        return err_set(err, ERR_SYSTEM,
                       "KVM: dirty ring: page %llu of slot %u, which does not exist", entry->offset,
                       entry->slot);
    uint64_t page = slot->block_page + entry->offset;
    if (dirty_bitmap_merge(&r->log[slot->block], page / 64, UINT64_C(1) << page % 64)) {
        ring->pages++;
        ring->credit -= RAM_PAGE_SIZE;
    }
    return 0;
}

static int harvest(struct dirty_ring *r, struct ring *ring, struct error *err)
{
    const struct kvm_dirty_gfn *entry;

    while ((entry = kvm_ring_next(&ring->entries))) {
        if (note(r, ring, entry, err) < 0)
            return -1;
        kvm_ring_give_back(&ring->entries);
        r->reset_due = true;
    }
    return 0;
}

/* Only after this may the harvested pages be read. */
static int reset(struct dirty_ring *r, struct error *err)
{
    int rc = kvm_ring_reset_all(r->config.kvm, err);

    r->reset_due = r->reset_due && rc < 0;
    return rc;
}

static int harvest_all(struct dirty_ring *r, struct error *err)
{
    for (unsigned i = 0; i < r->n_rings; i++) {
        if (harvest(r, &r->rings[i], err) < 0)
            return -1;
    }
    return r->reset_due ? reset(r, err) : 0;
}

/* --- what vCPUs' threads call ---------------------------------------------------------------- */

int dirty_ring_full(struct dirty_source *s, unsigned vcpu, struct error *err)
{
    struct dirty_ring *r = ring_of(s);

    pthread_mutex_lock(&r->lock);
    int rc = harvest(r, &r->rings[vcpu], err);
    if (rc == 0) /* even if there was no entry: another thread may have harvested them */
        rc = reset(r, err);
    pthread_mutex_unlock(&r->lock);
    if (rc == 0)
        dirty_ring_hold(s, vcpu);
    return rc;
}

void dirty_ring_hold(struct dirty_source *s, unsigned vcpu)
{
    struct dirty_ring *r = ring_of(s);
    struct ring *ring = &r->rings[vcpu];

    if (!atomic_load_explicit(&r->limit, memory_order_relaxed))
        return;
    pthread_mutex_lock(&r->lock);
    uint64_t ns = owed_ns(ring, r->limit), from = clock_ns();
    ring->sleeps_since = ns ? from : 0;
    pthread_mutex_unlock(&r->lock);
    if (!ns)
        return;
    r->config.sleep(r->config.arg, vcpu, ns);
    pthread_mutex_lock(&r->lock);
    ring->sleeps_since = 0;
    ring->held_ns += clock_ns() - from;
    pthread_mutex_unlock(&r->lock);
}

/* --- its thread: harvests when asked, and by itself while there is a limit ------------------- */

/* With the lock held, so that no vCPU is nudged after the limit is off. */
static void nudge_all(struct dirty_ring *r)
{
    for (unsigned i = 0; i < r->n_rings; i++)
        r->config.nudge(r->config.arg, i);
}

static void nudge_debtors(struct dirty_ring *r)
{
    for (unsigned i = 0; i < r->n_rings; i++) {
        struct ring *ring = &r->rings[i];

        if (!ring->sleeps_since && owed_ns(ring, r->limit))
            r->config.nudge(r->config.arg, i);
    }
}

/* With the lock held: waits for a request, or for the next tick while there is a limit. */
static void wait_for_work(struct dirty_ring *r)
{
    struct timespec until = deadline_timespec(clock_ns() + TICK_NS);

    if (r->asked)
        return;
    if (r->limit)
        pthread_cond_clockwait(&r->changed, &r->lock, CLOCK_MONOTONIC, &until);
    else
        pthread_cond_wait(&r->changed, &r->lock);
}

static void answer(struct dirty_ring *r)
{
    r->answer = harvest_all(r, &r->answer_err);
    r->asked = false;
    pthread_cond_broadcast(&r->changed);
}

/*
 * Harvests at every tick while there is a limit: a long ring, or the ring of a vCPU that writes few
 * pages, is full too seldom to hold the vCPU only then.
 */
static void *ring_main(void *arg)
{
    struct dirty_ring *r = arg;
    struct error ignored; /* the next sync fails for the same reason, and reports it */

    pthread_mutex_lock(&r->lock);
    while (!r->end) {
        wait_for_work(r);
        if (r->asked)
            answer(r);
        else if (!r->end && r->limit && harvest_all(r, &ignored) == 0)
            nudge_debtors(r);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/*
 * With the lock held, which the wait releases. Not on the caller's own thread: pending work of its
 * io_uring counts as a signal for KVM, and cannot be blocked.
 */
static int harvest_by_thread(struct dirty_ring *r, struct error *err)
{
    r->asked = true;
    pthread_cond_broadcast(&r->changed);
    while (r->asked)
        pthread_cond_wait(&r->changed, &r->lock);
    if (r->answer < 0)
        *err = r->answer_err;
    return r->answer;
}

/* With the lock held. Debts are dropped when the limit is switched on or off. */
static void set_limit(struct dirty_ring *r, uint64_t bytes_per_s)
{
    bool was_off = !r->limit;

    atomic_store(&r->limit, bytes_per_s);
    for (unsigned i = 0; i < r->n_rings && (was_off || !bytes_per_s); i++) {
        r->rings[i].credit = 0;
        r->rings[i].credit_at = clock_ns();
    }
    pthread_cond_broadcast(&r->changed);
}

void dirty_ring_limit(struct dirty_source *s, uint64_t bytes_per_s)
{
    struct dirty_ring *r = ring_of(s);

    pthread_mutex_lock(&r->lock);
    if (r->limit != bytes_per_s) {
        set_limit(r, bytes_per_s);
        nudge_all(r); /* a vCPU that sleeps must compute its sleep anew */
    }
    pthread_mutex_unlock(&r->lock);
}

struct dirty_ring_counts dirty_ring_counts(struct dirty_source *s, unsigned vcpu)
{
    struct dirty_ring *r = ring_of(s);

    pthread_mutex_lock(&r->lock);
    const struct ring *ring = &r->rings[vcpu];
    uint64_t asleep = ring->sleeps_since ? clock_ns() - ring->sleeps_since : 0;
    struct dirty_ring_counts counts = {.pages = ring->pages, .held_ns = ring->held_ns + asleep};
    pthread_mutex_unlock(&r->lock);
    return counts;
}

/* --- the source ------------------------------------------------------------------------------ */

static int set_slots(struct dirty_ring *r, uint32_t flags, struct error *err)
{
    for (size_t i = 0; i < r->config.n_slots; i++) {
        if (kvm_set_slot(r->config.kvm, &r->config.slots[i], flags, err) < 0)
            return -1;
    }
    return 0;
}

static void forget(struct dirty_ring *r)
{
    for (size_t i = 0; i < r->config.map->n; i++) {
        for (uint64_t w = 0; w < dirty_bitmap_words(&r->log[i]); w++)
            dirty_bitmap_take(&r->log[i], w);
    }
}

static int ring_start(struct dirty_source *s, struct error *err)
{
    struct dirty_ring *r = ring_of(s);

    pthread_mutex_lock(&r->lock);
    forget(r); /* before the log is on: every page that comes into it now counts */
    int rc = set_slots(r, KVM_MEM_LOG_DIRTY_PAGES, err);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static uint64_t move_log(struct dirty_ring *r, struct dirty_bitmap *bitmaps)
{
    uint64_t pages = 0;

    for (size_t i = 0; i < r->config.map->n; i++) {
        for (uint64_t w = 0; w < dirty_bitmap_words(&r->log[i]); w++)
            pages += dirty_bitmap_merge(&bitmaps[i], w, dirty_bitmap_take(&r->log[i], w));
    }
    return pages;
}

/*
 * While the guest runs, a CPU may keep some pages in its own buffer until the vCPU leaves the guest
 * (Intel's PML): they are in no ring yet, and come with the next sync. A paused guest has no such
 * pages, so vCPUs need not be kicked here.
 */
static int ring_sync(struct dirty_source *s, struct dirty_bitmap *bitmaps, uint64_t *ret_pages,
                     struct error *err)
{
    struct dirty_ring *r = ring_of(s);

    pthread_mutex_lock(&r->lock);
    int rc = harvest_by_thread(r, err);
    if (rc == 0)
        *ret_pages = move_log(r, bitmaps);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* A vCPU may be about to call dirty_ring_full(): it finds an empty ring, and goes on. */
static void ring_stop(struct dirty_source *s)
{
    struct dirty_ring *r = ring_of(s);
    struct error ignored; /* it was switched on, so it can be switched off */

    dirty_ring_limit(s, 0);
    pthread_mutex_lock(&r->lock);
    (void)!set_slots(r, 0, &ignored);
    (void)!harvest_by_thread(r, &ignored);
    forget(r);
    pthread_mutex_unlock(&r->lock);
}

static const struct dirty_source_ops ring_ops = {
    .start = ring_start,
    .sync = ring_sync,
    .stop = ring_stop,
};

/* --- life ------------------------------------------------------------------------------------ */

static int map_rings(struct dirty_ring *r, const int *vcpus, struct error *err)
{
    for (; r->n_rings < r->config.n_vcpus; r->n_rings++) {
        struct kvm_ring *entries = &r->rings[r->n_rings].entries;

        if (kvm_ring_map(entries, vcpus[r->n_rings], r->config.entries, err) < 0)
            return -1;
    }
    return 0;
}

static int make_log(struct dirty_ring *r, struct error *err)
{
    const struct ram_map *map = r->config.map;

    r->log = calloc(MAX(map->n, (size_t)1), sizeof(*r->log));
    if (!r->log)
        return err_sys(err, "memory for a dirty ring");
    for (size_t i = 0; i < map->n; i++) {
        if (dirty_bitmap_init(&r->log[i], ram_block_pages(&map->blocks[i]), err) < 0)
            return -1;
    }
    return 0;
}

int dirty_ring_new(const struct dirty_ring_config *config, struct dirty_source **ret,
                   struct error *err)
{
    struct dirty_ring *r = calloc(1, sizeof(*r) + config->n_vcpus * sizeof(r->rings[0]));

    if (!r)
        return err_sys(err, "memory for a dirty ring");
    r->base.ops = &ring_ops;
    r->config = *config;
    r->config.vcpus = NULL; /* the array is the caller's, and may go */
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    if (make_log(r, err) < 0 || map_rings(r, config->vcpus, err) < 0 ||
        thread_start(&r->thread, ring_main, r, err, "dirty-ring") < 0) {
        dirty_ring_free(&r->base);
        return -1;
    }
    *ret = &r->base;
    return 0;
}

static void end_thread(struct dirty_ring *r)
{
    if (!r->thread.running)
        return;
    pthread_mutex_lock(&r->lock);
    r->end = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    thread_join(&r->thread);
}

void dirty_ring_free(struct dirty_source *s)
{
    if (!s)
        return;
    struct dirty_ring *r = ring_of(s);

    end_thread(r);
    for (unsigned i = 0; i < r->n_rings; i++)
        kvm_ring_unmap(&r->rings[i].entries);
    for (size_t i = 0; r->log && i < r->config.map->n; i++)
        dirty_bitmap_done(&r->log[i]);
    free(r->log);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
