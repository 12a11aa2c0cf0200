#include "tools/metrics_query.h"

#include <string.h>

#include "base/json_read.h"
#include "base/macros.h"
#include "compress/codec.h"
#include "ram/block.h"
#include "tools/metrics.h"

/* A status of another kind, such as one of postcopy, is one under way. */
static enum migration_status status_of(const json_t *migration)
{
    char word[40];

    json_word(migration, "status", "none", word, sizeof(word));
    for (unsigned i = 0; i < MIGRATION_STATUS_N; i++) {
        if (strcmp(word, migration_status_name((enum migration_status)i)) == 0)
            return (enum migration_status)i;
    }
    return MIGRATION_ACTIVE;
}

static void read_ram(const json_t *ram, struct migration_snapshot *s)
{
    uint64_t page_size = json_count(ram, "page-size");

    s->wire_bytes = json_count(ram, "transferred");
    s->remaining_bytes = json_count(ram, "remaining");
    s->total_bytes = json_count(ram, "total");
    s->normal = json_count(ram, "normal");
    s->zero = json_count(ram, "duplicate");
    s->multifd_bytes = json_count(ram, "multifd-bytes");
    s->rounds = json_count(ram, "dirty-sync-count");
    s->missed_zero_copy = json_count(ram, "dirty-sync-missed-zero-copy");
    s->dirty_pages_per_s = json_count(ram, "dirty-pages-rate");
    if (page_size >= RAM_PAGE_SIZE)
        s->dirty_pages_per_s *= page_size / RAM_PAGE_SIZE;
}

static void read_channels(const json_t *channels, struct migration_snapshot *s)
{
    json_t *c;
    size_t i;

    json_array_foreach(channels, i, c)
    {
        if (i == ARRAY_LEN(s->channels))
            break;
        s->channels[s->n_channels++] = (struct channel_snapshot){
            .id = (unsigned)i, /* each once, whatever the monitor says */
            .bytes = json_count(c, "bytes"),
            .packets = json_count(c, "packets"),
            .normal = json_count(c, "normal"),
            .zero = json_count(c, "zero"),
            .wait_ms = json_count(c, "wait-ms"),
            .codec_ms = json_count(c, "codec-ms"),
            .copied_sends = json_count(c, "copied-sends"),
        };
    }
}

void metrics_query_read(const json_t *migration, struct migration_snapshot *ret)
{
    bool estimates = json_is_integer(json_object_get(migration, "expected-downtime"));

    *ret = (struct migration_snapshot){
        .status = status_of(migration),
        .total_ms = json_count(migration, "total-time"),
        .setup_ms = json_count(migration, "setup-time"),
        .downtime_ms = json_count(migration, "downtime"),
        .expected_downtime_ms = estimates ? json_count(migration, "expected-downtime") : UINT64_MAX,
        .throttle_percent =
            (unsigned)MIN(json_count(migration, "cpu-throttle-percentage"), (uint64_t)100),
        .path = {.method = -1},
    };
    read_ram(json_object_get(migration, "ram"), ret);
    read_channels(json_object_get(migration, "channels"), ret);
}

static void watch(void *arg, json_t *migration)
{
    const struct metrics_query *q = arg;
    struct migration_snapshot now;

    if (migration) {
        metrics_query_read(migration, &now);
        metrics_show(&now);
    }
    if (q->watch)
        q->watch(q->arg, migration);
}

void metrics_query_watch(struct metrics_query *q, struct drive_config *config)
{
    *q = (struct metrics_query){config->watch, config->arg};
    config->watch = watch;
    config->arg = q;
}
