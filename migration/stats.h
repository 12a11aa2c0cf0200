/*
 * migration/stats.h: what is counted while a migration runs, and one moment of it for a reader.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "multifd/packet.h"
#include "ram/channel_stats.h"

/* As query-migrate spells them: migration_status_name(). */
enum migration_status {
    MIGRATION_NONE,
    MIGRATION_SETUP,
    MIGRATION_ACTIVE,
    MIGRATION_PRE_SWITCHOVER,
    MIGRATION_DEVICE,
    MIGRATION_COMPLETED,
    MIGRATION_FAILED,
    MIGRATION_CANCELLING,
    MIGRATION_CANCELLED,
    MIGRATION_STATUS_N,
};

const char *migration_status_name(enum migration_status status);

/* Written by the thread that runs the migration, read by any. Times are clock_ns(); 0 = not yet. */
struct migration_stats {
    _Atomic int status; /* cancelling: written by who cancels */
    _Atomic uint64_t start_ns, setup_done_ns, end_ns;
    _Atomic uint64_t downtime_ns;       /* at the end */
    _Atomic uint64_t total_bytes;       /* of guest RAM */
    _Atomic uint64_t rounds;            /* passes over memory, QEMU's dirty-sync-count */
    _Atomic uint64_t round_pages;       /* that were dirty when the present round began */
    _Atomic uint64_t round_start_pages; /* that had been sent by then */
    _Atomic uint64_t dirty_pages_per_s;
    _Atomic uint64_t expected_downtime_ms;
    _Atomic uint64_t stopped_at_bytes; /* what main had sent when the guest was stopped, */
    _Atomic bool stopped;              /* and that it was */
    _Atomic unsigned throttle_percent;
    _Atomic uint64_t vcpu_dirty_bytes_per_s;
};

/* Rates of the last second or more, by looking twice. Who shares it has a lock. */
struct migration_meter {
    uint64_t at_ns, wire_bytes, pages; /* when it was looked at, and what had been sent */
    uint64_t bytes_per_s, pages_per_s; /* as found then; 0 before */
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
    int level;          /* at which the source packs */
    char tls[96];       /* "TLSv1.3 TLS_AES_128_GCM_SHA256"; "": none */
    bool ktls_send;     /* encrypted by the kernel */
};

/* One moment; sums over all channels and main. */
struct migration_snapshot {
    enum migration_status status;
    uint64_t total_ms, setup_ms, downtime_ms, expected_downtime_ms;
    uint64_t total_bytes, remaining_bytes;
    uint64_t normal, zero; /* pages */
    uint64_t wire_bytes, multifd_bytes;
    uint64_t precopy_bytes, downtime_bytes;      /* of main, the guest running and stopped */
    uint64_t wire_bytes_per_s, pages_per_second; /* of late; at the end, of the whole */
    uint64_t rounds, dirty_pages_per_s;
    unsigned throttle_percent;             /* taken from the guest by auto-converge; 0: nothing */
    uint64_t vcpu_dirty_limit_bytes_per_s; /* that dirty-limit has put in force; 0: none */
    uint64_t missed_zero_copy;             /* QEMU's dirty-sync-missed-zero-copy */
    struct path_snapshot path;
    size_t n_channels;
    struct channel_snapshot channels[MULTIFD_CHANNELS_MAX]; /* n_channels of them, by id */
};

/* Times, status and progress; whoever owns the channels adds them. */
void migration_stats_read(const struct migration_stats *s, struct migration_snapshot *ret);
/* Adds a channel, and its counters to the sums. */
void migration_snapshot_add(struct migration_snapshot *snap, unsigned id,
                            const struct channel_stats *stats,
                            const struct channel_traffic *traffic);
/* After the channels were added: what is left of the present round. */
void migration_snapshot_remaining(const struct migration_stats *s, struct migration_snapshot *snap);
/* The same for rates; `meter` is zeroed before the first look. */
void migration_snapshot_rates(const struct migration_stats *s, struct migration_meter *meter,
                              struct migration_snapshot *snap);
/* What main has sent, before and after the guest was stopped. */
void migration_snapshot_main(const struct migration_stats *s, uint64_t main_bytes,
                             struct migration_snapshot *snap);
