#include "tools/metrics_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "compress/codec.h"
#include "ram/block.h"

/* The text as it grows. The first failure is kept, and all that follows is dropped. */
struct page {
    const struct metrics *m;
    struct buf *to;
    bool failed;
    struct error *err;
};

static void PRINTF(2, 3) put(struct page *p, const char *fmt, ...)
{
    char line[400];
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (!p->failed && buf_append(p->to, line, MIN((size_t)len, sizeof(line) - 1), p->err) < 0)
        p->failed = true;
}

enum unit { COUNT, MS, PERCENT }; /* what a figure counts; shown in units without a prefix */

static void put_value(struct page *p, enum unit unit, uint64_t value)
{
    switch (unit) {
    case COUNT:
        put(p, " %" PRIu64 "\n", value);
        break;
    case MS:
        put(p, " %" PRIu64 ".%03u\n", value / 1000, (unsigned)(value % 1000));
        break;
    case PERCENT:
        put(p, " %" PRIu64 ".%02u\n", value / 100, (unsigned)(value % 100));
        break;
    }
}

static void head(struct page *p, const char *name, const char *type, const char *help)
{
    put(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* --- figures of a migration ------------------------------------------------------------------ */

static bool always(const struct migration_snapshot *s, uint64_t *ret)
{
    (void)s;
    (void)ret;
    return true;
}

#define FIGURE(name, member)                                                                       \
    static bool name(const struct migration_snapshot *s, uint64_t *ret)                            \
    {                                                                                              \
        *ret = s->member;                                                                          \
        return always(s, ret);                                                                     \
    }

FIGURE(total_ms, total_ms)
FIGURE(setup_ms, setup_ms)
FIGURE(downtime_ms, downtime_ms)
FIGURE(total_bytes, total_bytes)
FIGURE(remaining_bytes, remaining_bytes)
FIGURE(wire_bytes, wire_bytes)
FIGURE(multifd_bytes, multifd_bytes)
FIGURE(rounds, rounds)
FIGURE(throttle, throttle_percent)
FIGURE(dirty_limit, vcpu_dirty_limit_bytes_per_s)
FIGURE(missed_zero_copy, missed_zero_copy)
FIGURE(n_channels, n_channels)

/* Unknown while no rate has been measured, and at a destination. */
static bool expected_downtime(const struct migration_snapshot *s, uint64_t *ret)
{
    *ret = s->expected_downtime_ms;
    return s->expected_downtime_ms != UINT64_MAX;
}

static bool dirty_rate(const struct migration_snapshot *s, uint64_t *ret)
{
    *ret = s->dirty_pages_per_s * RAM_PAGE_SIZE;
    return true;
}

static const struct {
    const char *name, *type, *help;
    enum unit unit;
    bool (*read)(const struct migration_snapshot *s, uint64_t *ret);
} figures[] = {
    {"ramjet_migration_duration_seconds", "gauge",
     "Time since the migration began, or that it took.", MS, total_ms},
    {"ramjet_migration_setup_seconds", "gauge", "Time until the first page.", MS, setup_ms},
    {"ramjet_migration_downtime_seconds", "gauge",
     "Time for which the guest was stopped; known to the source, at the end.", MS, downtime_ms},
    {"ramjet_migration_expected_downtime_seconds", "gauge",
     "Downtime if the guest were stopped now; absent where it is not known.", MS,
     expected_downtime},
    {"ramjet_migration_ram_bytes", "gauge", "Guest memory.", COUNT, total_bytes},
    {"ramjet_migration_remaining_bytes", "gauge", "Guest memory left in the present round.", COUNT,
     remaining_bytes},
    {"ramjet_migration_transferred_bytes_total", "counter",
     "Bytes on all connections, or in the file.", COUNT, wire_bytes},
    {"ramjet_migration_multifd_bytes_total", "counter", "Those on multifd channels.", COUNT,
     multifd_bytes},
    {"ramjet_migration_rounds_total", "counter", "Rounds over the guest's memory.", COUNT, rounds},
    {"ramjet_migration_dirty_bytes_per_second", "gauge", "Memory that the guest writes.", COUNT,
     dirty_rate},
    {"ramjet_migration_throttle_ratio", "gauge",
     "Share of the vCPUs' time that auto-converge takes, 0 to 1.", PERCENT, throttle},
    {"ramjet_migration_dirty_limit_bytes_per_second", "gauge",
     "Limit that dirty-limit sets for each vCPU; 0: none.", COUNT, dirty_limit},
    {"ramjet_migration_zero_copy_missed_total", "counter",
     "Barriers before which the kernel has copied in spite of zero-copy.", COUNT, missed_zero_copy},
    {"ramjet_migration_channels", "gauge", "Multifd channels.", COUNT, n_channels},
};

static void put_figures(struct page *p)
{
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        uint64_t value = 0;
        bool known = figures[i].read(&p->m->now, &value);

        head(p, figures[i].name, figures[i].type, figures[i].help);
        if (!known)
            continue;
        put(p, "%s", figures[i].name);
        put_value(p, figures[i].unit, value);
    }
}

/* --- figures with labels --------------------------------------------------------------------- */

static void put_ended(struct page *p)
{
    const struct {
        const char *result;
        uint64_t n;
    } rows[] = {
        {"completed", p->m->completed}, {"failed", p->m->failed}, {"cancelled", p->m->cancelled}};

    head(p, "ramjet_migrations_total", "counter",
         "Migrations that have ended since the process was started.");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        put(p, "ramjet_migrations_total{result=\"%s\"} %" PRIu64 "\n", rows[i].result, rows[i].n);
}

static void put_status(struct page *p)
{
    head(p, "ramjet_migration_status", "gauge",
         "1 for the status of the present migration or the last, else 0.");
    for (unsigned i = 0; i < MIGRATION_STATUS_N; i++)
        put(p, "ramjet_migration_status{status=\"%s\"} %d\n",
            migration_status_name((enum migration_status)i), p->m->now.status == i);
}

static void put_path(struct page *p)
{
    const struct path_snapshot *path = &p->m->now.path;
    enum codec_method method = path->method < 0 ? CODEC_NONE : (enum codec_method)path->method;

    head(p, "ramjet_migration_path_info", "gauge",
         "How bytes travel; absent where nothing is connected, or nobody says it.");
    if (path->engine) /* its texts have no character that a label would have to escape */
        put(p, "ramjet_migration_path_info{engine=\"%s\",compression=\"%s\",tls=\"%s\"} 1\n",
            path->engine, codec_name(method), path->tls);
}

static void put_pages(struct page *p)
{
    head(p, "ramjet_migration_pages_total", "counter", "Pages with data, and pages that are zero.");
    put(p, "ramjet_migration_pages_total{kind=\"normal\"} %" PRIu64 "\n", p->m->now.normal);
    put(p, "ramjet_migration_pages_total{kind=\"zero\"} %" PRIu64 "\n", p->m->now.zero);
}

#define OF_CHANNEL(member) offsetof(struct channel_snapshot, member)

static const struct {
    const char *name, *more, *help; /* no help: another label of the metric before it */
    enum unit unit;
    size_t at;
} of_channels[] = {
    {"ramjet_channel_bytes_total", "", "Bytes on a multifd channel.", COUNT, OF_CHANNEL(bytes)},
    {"ramjet_channel_packets_total", "", "Packets on it.", COUNT, OF_CHANNEL(packets)},
    {"ramjet_channel_wait_seconds_total", "", "Time for which it waited for others.", MS,
     OF_CHANNEL(wait_ms)},
    {"ramjet_channel_codec_seconds_total", "", "Time for which it packed or unpacked.", MS,
     OF_CHANNEL(codec_ms)},
    {"ramjet_channel_copied_sends_total", "",
     "Sends that the kernel has copied in spite of zero-copy.", COUNT, OF_CHANNEL(copied_sends)},
    {"ramjet_channel_pages_total", ",kind=\"normal\"", "Pages on it.", COUNT, OF_CHANNEL(normal)},
    {"ramjet_channel_pages_total", ",kind=\"zero\"", NULL, COUNT, OF_CHANNEL(zero)},
};

static void put_channels(struct page *p)
{
    for (size_t i = 0; i < ARRAY_LEN(of_channels); i++) {
        if (of_channels[i].help)
            head(p, of_channels[i].name, "counter", of_channels[i].help);
        for (size_t k = 0; k < p->m->now.n_channels; k++) {
            const struct channel_snapshot *c = &p->m->now.channels[k];
            uint64_t value;

            memcpy(&value, (const char *)c + of_channels[i].at, sizeof(value));
            put(p, "%s{channel=\"%u\"%s}", of_channels[i].name, c->id, of_channels[i].more);
            put_value(p, of_channels[i].unit, value);
        }
    }
}

int metrics_text(const struct metrics *m, struct buf *to, struct error *err)
{
    struct page p = {.m = m, .to = to, .err = err};

    head(&p, "ramjet_build_info", "gauge", "1; the verb that runs, and the version.");
    put(&p, "ramjet_build_info{verb=\"%s\",version=\"%s\"} 1\n", m->verb, m->version);
    put_ended(&p);
    put_status(&p);
    put_path(&p);
    put_figures(&p);
    put_pages(&p);
    put_channels(&p);
    return p.failed ? -1 : 0;
}
