#include "migration/stats.h"

#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "ram/block.h"

static const char *const names[] = {
    [MIGRATION_NONE] = "none",
    [MIGRATION_SETUP] = "setup",
    [MIGRATION_ACTIVE] = "active",
    [MIGRATION_PRE_SWITCHOVER] = "pre-switchover",
    [MIGRATION_DEVICE] = "device",
    [MIGRATION_POSTCOPY_ACTIVE] = "postcopy-active",
    [MIGRATION_COMPLETED] = "completed",
    [MIGRATION_FAILED] = "failed",
    [MIGRATION_CANCELLING] = "cancelling",
    [MIGRATION_CANCELLED] = "cancelled",
};
_Static_assert(ARRAY_LEN(names) == MIGRATION_STATUS_N, "a name for each status");

const char *migration_status_name(enum migration_status status)
{
    return names[status];
}

static uint64_t between_ms(uint64_t from, uint64_t to)
{
    return from && to > from ? (to - from) / NS_PER_MS : 0;
}

void migration_stats_read(const struct migration_stats *s, struct migration_snapshot *ret)
{
    uint64_t start = atomic_load(&s->start_ns), end = atomic_load(&s->end_ns);

    memset(ret, 0, sizeof(*ret));
    ret->path.method = -1;
    ret->status = (enum migration_status)atomic_load(&s->status);
    ret->total_ms = between_ms(start, end ? end : clock_ns());
    ret->setup_ms = between_ms(start, atomic_load(&s->setup_done_ns));
    ret->downtime_ms = atomic_load(&s->downtime_ns) / NS_PER_MS;
    ret->expected_downtime_ms = atomic_load(&s->expected_downtime_ms);
    ret->total_bytes = atomic_load(&s->total_bytes);
    ret->rounds = atomic_load(&s->rounds);
    ret->dirty_pages_per_s = atomic_load(&s->dirty_pages_per_s);
    ret->throttle_percent = atomic_load(&s->throttle_percent);
    ret->vcpu_dirty_limit_bytes_per_s = atomic_load(&s->vcpu_dirty_bytes_per_s);
}

void migration_snapshot_add(struct migration_snapshot *snap, unsigned id,
                            const struct channel_stats *stats,
                            const struct channel_traffic *traffic)
{
    struct channel_snapshot *c = &snap->channels[snap->n_channels++];

    *c = (struct channel_snapshot){
        .id = id,
        .bytes = traffic->bytes,
        .copied_sends = traffic->copied_sends,
        .packets = atomic_load_explicit(&stats->packets, memory_order_relaxed),
        .normal = atomic_load_explicit(&stats->normal, memory_order_relaxed),
        .zero = atomic_load_explicit(&stats->zero, memory_order_relaxed),
        .wait_ms = atomic_load_explicit(&stats->wait_ns, memory_order_relaxed) / NS_PER_MS,
        .codec_ms = atomic_load_explicit(&stats->codec_ns, memory_order_relaxed) / NS_PER_MS,
    };
    if (traffic->method >= 0)
        snap->path.method = traffic->method;
    snap->normal += c->normal;
    snap->zero += c->zero;
    snap->multifd_bytes += traffic->bytes;
    snap->wire_bytes += traffic->bytes;
}

void migration_snapshot_remaining(const struct migration_stats *s, struct migration_snapshot *snap)
{
    uint64_t pages = snap->normal + snap->zero, start = atomic_load(&s->round_start_pages);
    uint64_t round = atomic_load(&s->round_pages);
    /* A round may have begun after the channels were read: then none of it counts as sent. */
    uint64_t sent = pages > start ? pages - start : 0;

    snap->remaining_bytes = sent < round ? (round - sent) * RAM_PAGE_SIZE : 0;
}

static uint64_t per_s(uint64_t n, uint64_t ns)
{
    return ns ? (uint64_t)((double)n * (double)NS_PER_S / (double)ns) : 0;
}

void migration_snapshot_rates(const struct migration_stats *s, struct migration_meter *meter,
                              struct migration_snapshot *snap)
{
    uint64_t start = atomic_load(&s->start_ns), end = atomic_load(&s->end_ns);
    uint64_t now = end ? end : clock_ns(), pages = snap->normal + snap->zero;
    uint64_t since = meter->at_ns ? meter->at_ns : start;

    if (!start)
        return;
    if (!end && now - since >= NS_PER_S)
        *meter = (struct migration_meter){
            .at_ns = now,
            .wire_bytes = snap->wire_bytes,
            .pages = pages,
            .bytes_per_s = per_s(snap->wire_bytes - meter->wire_bytes, now - since),
            .pages_per_s = per_s(pages - meter->pages, now - since),
        };
    bool whole = end || !meter->at_ns;
    snap->wire_bytes_per_s = whole ? per_s(snap->wire_bytes, now - start) : meter->bytes_per_s;
    snap->pages_per_second = whole ? per_s(pages, now - start) : meter->pages_per_s;
}

void migration_snapshot_main(const struct migration_stats *s, uint64_t main_bytes,
                             struct migration_snapshot *snap)
{
    bool stopped = atomic_load(&s->stopped);

    /* The guest may have been stopped after main_bytes was read. */
    snap->precopy_bytes = stopped ? MIN(main_bytes, atomic_load(&s->stopped_at_bytes)) : main_bytes;
    snap->downtime_bytes = main_bytes - snap->precopy_bytes;
}
