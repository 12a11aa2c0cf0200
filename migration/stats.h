/*
 * migration/stats.h: what is counted while a migration runs, and a snapshot of it for readers.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "multifd/packet.h"
#include "ram/channel_stats.h"
#include "settings/advice.h"

/* As query-migrate spells them: migration_status_name(). */
enum migration_status {
    MIGRATION_NONE,
    MIGRATION_SETUP,
    MIGRATION_ACTIVE,
    MIGRATION_PRE_SWITCHOVER,
    MIGRATION_DEVICE,
    MIGRATION_POSTCOPY_ACTIVE, /* at a destination so far */
    MIGRATION_COMPLETED,
    MIGRATION_FAILED,
    MIGRATION_CANCELLING,
    MIGRATION_CANCELLED,
    MIGRATION_STATUS_N,
};

const char *migration_status_name(enum migration_status status);

/* Written by the thread that runs the migration, read by any. Times are clock_ns(); 0 = not yet. */
struct migration_stats {
    _Atomic int status; /* the thread that cancels writes MIGRATION_CANCELLING */
    _Atomic uint64_t start_ns, setup_done_ns, end_ns;
    _Atomic uint64_t downtime_ns;       /* set at the end */
    _Atomic uint64_t total_bytes;       /* of guest RAM */
    _Atomic uint64_t rounds;            /* passes over memory, QEMU's dirty-sync-count */
    _Atomic uint64_t round_pages;       /* pages that were dirty when the present round began */
    _Atomic uint64_t round_start_pages; /* pages that had been sent by then */
    _Atomic uint64_t absent_pages;      /* reported as zero by the main stream without a look */
    _Atomic uint64_t dirty_pages_per_s;
    _Atomic uint64_t expected_downtime_ms;
    _Atomic uint64_t stopped_at_bytes; /* what main had sent when the guest was stopped */
    _Atomic bool stopped;              /* the guest was stopped */
    _Atomic unsigned throttle_percent;
    _Atomic uint64_t vcpu_dirty_bytes_per_s;
};

/* The rates of the last second or more, from two looks at the counters. If several threads share
 * it, they use a lock. */
struct migration_meter {
    uint64_t at_ns, wire_bytes, pages; /* when the last look was, and what had been sent */
    uint64_t bytes_per_s, pages_per_s; /* as found at the last look; 0 before */
};

struct channel_snapshot {
    unsigned id;
    uint64_t bytes, packets, normal, zero; /* normal and zero in pages */
    uint64_t wait_ms, codec_ms;
    uint64_t copied_sends;
};

/* How bytes travel; copied, so that it outlives the channels. */
struct path_snapshot {
    const char *engine; /* NULL: not connected yet */
    int method;         /* enum codec_method; -1: not known yet */
    int level;          /* the level at which the source packs */
    char tls[96];       /* "TLSv1.3 TLS_AES_128_GCM_SHA256"; "": none */
    bool ktls_send;     /* the kernel encrypts what is sent */
};

/* The state at one moment; the sums are over all channels and main. */
struct migration_snapshot {
    enum migration_status status;
    uint64_t total_ms, setup_ms, downtime_ms, expected_downtime_ms;
    uint64_t total_bytes, remaining_bytes;
    uint64_t normal, zero; /* pages */
    uint64_t wire_bytes, multifd_bytes;
    uint64_t precopy_bytes, downtime_bytes;      /* on main, the guest running and stopped */
    uint64_t wire_bytes_per_s, pages_per_second; /* recently; at the end, of the whole */
    uint64_t rounds, dirty_pages_per_s;
    unsigned throttle_percent;             /* what auto-converge takes from the guest; 0: nothing */
    struct advice advice;                  /* `given` once the rounds do not shrink */
    uint64_t vcpu_dirty_limit_bytes_per_s; /* the limit that dirty-limit has set; 0: none */
    uint64_t missed_zero_copy;             /* QEMU's dirty-sync-missed-zero-copy */
    struct path_snapshot path;
    size_t n_channels;
    struct channel_snapshot channels[MULTIFD_CHANNELS_MAX]; /* n_channels of them, by id */
};

/* Fills in times, status and progress. The owner of the channels adds the channels. */
void migration_stats_read(const struct migration_stats *s, struct migration_snapshot *ret);
/* Adds a channel, and adds its counters to the sums. */
void migration_snapshot_add(struct migration_snapshot *snap, unsigned id,
                            const struct channel_stats *stats,
                            const struct channel_traffic *traffic);
/* Computes what is left of the present round. Call it after the channels were added. */
void migration_snapshot_remaining(const struct migration_stats *s, struct migration_snapshot *snap);
/* Computes the rates. Call it after the channels were added; `meter` is zeroed before the first
 * call. */
void migration_snapshot_rates(const struct migration_stats *s, struct migration_meter *meter,
                              struct migration_snapshot *snap);
/* Fills in what main has sent before and after the guest was stopped. */
void migration_snapshot_main(const struct migration_stats *s, uint64_t main_bytes,
                             struct migration_snapshot *snap);
