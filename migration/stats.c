#include "migration/stats.h"

#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "ram/block.h"

static const char *const names[] = {
    [MIGRATION_NONE] = "none",           [MIGRATION_SETUP] = "setup",
    [MIGRATION_ACTIVE] = "active",       [MIGRATION_DEVICE] = "device",
    [MIGRATION_COMPLETED] = "completed", [MIGRATION_FAILED] = "failed",
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
    uint64_t sent = snap->normal + snap->zero - atomic_load(&s->round_start_pages);
    uint64_t round = atomic_load(&s->round_pages);

    snap->remaining_bytes = sent < round ? (round - sent) * RAM_PAGE_SIZE : 0;
}
