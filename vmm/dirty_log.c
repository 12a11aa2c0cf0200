#include "vmm/dirty_log.h"

#include <stdlib.h>

#include "ram/resident.h"

/* Pages that clear_absent() clears in one call: 1 GiB, about a millisecond. */
#define CLEAR_PAGES (UINT64_C(1) << 18)

struct dirty_log {
    struct dirty_source base;
    const struct kvm *kvm;
    const struct kvm_slot *slots;
    size_t n_slots;
    const struct ram_map *map;
    bool initially_set; /* when it is switched on, the log starts with every page dirty */
    uint64_t *words;    /* a bitmap for the largest slot, which KVM fills or reads */
};

static struct dirty_log *log_of(struct dirty_source *s)
{
    return CONTAINER_OF(s, struct dirty_log, base);
}

static uint64_t slot_pages(const struct kvm_slot *slot)
{
    return slot->bytes >> RAM_PAGE_BITS;
}

static int set_all(struct dirty_log *l, uint32_t flags, struct error *err)
{
    for (size_t i = 0; i < l->n_slots; i++) {
        if (kvm_set_slot(l->kvm, &l->slots[i], flags, err) < 0)
            return -1;
    }
    return 0;
}

static int clear(struct dirty_log *l, const struct kvm_slot *slot, uint64_t first_page,
                 uint64_t n_pages, const uint64_t *words, struct error *err)
{
    struct kvm_clear_dirty_log c = {
        .slot = slot->id,
        .first_page = first_page,
        .num_pages = (uint32_t)n_pages,
        .dirty_bitmap = (void *)(uintptr_t)words,
    };

    return kvm_ioctl(l->kvm->vm, KVM_CLEAR_DIRTY_LOG, &c, "clearing the dirty log", err);
}

/* --- the start ------------------------------------------------------------------------------- */

/*
 * Clears a slot's bits of pages that do not exist. Whole words can be copied, because a slot begins
 * at a block's start or at 3 GiB of it. It clears in pieces, because no vCPU gets a page from KVM
 * during such a call.
 */
static int clear_absent(struct dirty_log *l, const struct kvm_slot *slot,
                        const struct dirty_bitmap *resident, struct error *err)
{
    const _Atomic uint64_t *from = resident->words + slot->block_page / 64;
    uint64_t pages = slot_pages(slot);

    for (uint64_t w = 0; w < (pages + 63) / 64; w++)
        l->words[w] = ~atomic_load_explicit(&from[w], memory_order_relaxed);
    for (uint64_t at = 0; at < pages; at += CLEAR_PAGES) {
        if (clear(l, slot, at, MIN(pages - at, CLEAR_PAGES), l->words + at / 64, err) < 0)
            return -1;
    }
    return 0;
}

static int clear_block(struct dirty_log *l, size_t block, struct error *err)
{
    const struct ram_block *b = &l->map->blocks[block];
    struct dirty_bitmap resident = {0};
    int rc = 0;

    if (dirty_bitmap_init(&resident, ram_block_pages(b), err) < 0)
        return -1;
    rc = ram_resident(b, &resident, err);
    for (size_t i = 0; rc == 0 && i < l->n_slots; i++) {
        if (l->slots[i].block == block)
            rc = clear_absent(l, &l->slots[i], &resident, err);
    }
    dirty_bitmap_done(&resident);
    return rc;
}

/*
 * A log that starts with every bit set protects nothing: each page is armed when it is first sent.
 * Pages that do not exist are not sent, so their bits are cleared here. A page that is first
 * written between ram_resident() and the clearing is not lost: the migration looks for existing
 * pages itself, after this.
 */
static int log_start(struct dirty_source *s, struct error *err)
{
    struct dirty_log *l = log_of(s);

    if (set_all(l, KVM_MEM_LOG_DIRTY_PAGES, err) < 0)
        return -1;
    for (size_t i = 0; l->initially_set && i < l->map->n; i++) {
        if (clear_block(l, i, err) < 0)
            return -1;
    }
    return 0;
}

static void log_stop(struct dirty_source *s)
{
    struct error ignored; /* it was switched on, so it can be switched off */

    (void)!set_all(log_of(s), 0, &ignored);
}

/* --- rounds ---------------------------------------------------------------------------------- */

static int sync_slot(struct dirty_log *l, const struct kvm_slot *slot, struct dirty_bitmap *bitmap,
                     uint64_t *pages, struct error *err)
{
    struct kvm_dirty_log d = {.slot = slot->id, .dirty_bitmap = l->words};

    if (kvm_ioctl(l->kvm->vm, KVM_GET_DIRTY_LOG, &d, "reading the dirty log", err) < 0)
        return -1;
    for (uint64_t w = 0; w < (slot_pages(slot) + 63) / 64; w++)
        *pages += dirty_bitmap_merge(bitmap, slot->block_page / 64 + w, l->words[w]);
    return 0;
}

static int log_sync(struct dirty_source *s, struct dirty_bitmap *bitmaps, uint64_t *ret_pages,
                    struct error *err)
{
    struct dirty_log *l = log_of(s);
    uint64_t pages = 0;

    for (size_t i = 0; i < l->n_slots; i++) {
        const struct kvm_slot *slot = &l->slots[i];

        if (sync_slot(l, slot, &bitmaps[slot->block], &pages, err) < 0)
            return -1;
    }
    *ret_pages = pages;
    return 0;
}

static const struct kvm_slot *slot_at(const struct dirty_log *l, size_t block, uint64_t page)
{
    size_t i = 0;

    while (l->slots[i].block != block || page < l->slots[i].block_page ||
           page - l->slots[i].block_page >= slot_pages(&l->slots[i]))
        i++;
    return &l->slots[i];
}

/* A stripe is in one slot only: slots begin and end at stripe boundaries, or with the block. */
static int log_rearm(struct dirty_source *s, size_t block, uint64_t first_page, uint64_t n_pages,
                     const uint64_t *words, struct error *err)
{
    struct dirty_log *l = log_of(s);
    const struct kvm_slot *slot = slot_at(l, block, first_page);

    return clear(l, slot, first_page - slot->block_page, n_pages, words, err);
}

/* --- life ------------------------------------------------------------------------------------ */

static const struct dirty_source_ops manual_ops = {
    .start = log_start,
    .sync = log_sync,
    .rearm = log_rearm,
    .stop = log_stop,
};

static const struct dirty_source_ops legacy_ops = {
    .start = log_start,
    .sync = log_sync,
    .stop = log_stop,
};

static int choose(struct dirty_log *l, struct error *err)
{
    int flags = kvm_extension(l->kvm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);

    l->base.ops = &legacy_ops;
    if (!(flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE))
        return 0;
    flags &= KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
    l->initially_set = flags & KVM_DIRTY_LOG_INITIALLY_SET;
    l->base.ops = &manual_ops;
    return kvm_enable(l->kvm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, (uint64_t)flags,
                      "manual protection of the dirty log", err);
}

int dirty_log_new(const struct kvm *kvm, const struct kvm_slot *slots, size_t n_slots,
                  const struct ram_map *map, struct dirty_source **ret, struct error *err)
{
    struct dirty_log *l = calloc(1, sizeof(*l));
    uint64_t most = 0;

    if (!l)
        return err_sys(err, "memory for a dirty log");
    l->kvm = kvm;
    l->slots = slots;
    l->n_slots = n_slots;
    l->map = map;
    for (size_t i = 0; i < n_slots; i++)
        most = MAX(most, slot_pages(&slots[i]));
    /* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): a guest has memory */
    l->words = calloc((most + 63) / 64, sizeof(*l->words));
    if (!l->words || choose(l, err) < 0) {
        if (!l->words)
            err_sys(err, "memory for a dirty log");
        dirty_log_free(&l->base);
        return -1;
    }
    *ret = &l->base;
    return 0;
}

void dirty_log_free(struct dirty_source *s)
{
    if (!s)
        return;
    free(log_of(s)->words);
    free(log_of(s));
}
