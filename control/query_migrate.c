#include "control/query_migrate.h"

#include "control/address_json.h"
#include "control/qmp_error.h"

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)MIN(n, (uint64_t)INT64_MAX));
}

static json_t *ram_json(const struct migration_snapshot *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } members[] = {
        {"transferred", s->wire_bytes},
        {"remaining", s->remaining_bytes},
        {"total", s->total_bytes},
        {"duplicate", s->zero},
        {"normal", s->normal},
        {"normal-bytes", s->normal * RAM_PAGE_SIZE},
        {"page-size", RAM_PAGE_SIZE},
        {"dirty-pages-rate", s->dirty_pages_per_s},
        {"dirty-sync-count", s->rounds},
        {"dirty-sync-missed-zero-copy", s->missed_zero_copy},
        {"pages-per-second", s->pages_per_second},
        {"multifd-bytes", s->multifd_bytes},
        {"precopy-bytes", s->precopy_bytes},
        {"downtime-bytes", s->downtime_bytes},
        {"postcopy-bytes", 0},
        {"postcopy-requests", 0},
    };
    json_t *ram = json_object();

    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        json_object_set_new(ram, members[i].name, number(members[i].value));
    json_object_set_new(ram, "mbps", json_real((double)s->wire_bytes_per_s * 8 / 1e6));
    return ram;
}

static json_t *channels_json(const struct migration_snapshot *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->n_channels; i++) {
        const struct channel_snapshot *c = &s->channels[i];

        json_array_append_new(
            list, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id", (json_int_t)c->id,
                            "bytes", (json_int_t)c->bytes, "packets", (json_int_t)c->packets,
                            "normal", (json_int_t)c->normal, "zero", (json_int_t)c->zero, "wait-ms",
                            (json_int_t)c->wait_ms, "codec-ms", (json_int_t)c->codec_ms,
                            "copied-sends", (json_int_t)c->copied_sends));
    }
    return list;
}

/* What a source's report has in each status. */
enum {
    TIMES = 1 << 0,  /* total-time, setup-time, ram */
    AHEAD = 1 << 1,  /* what remains, and how it is slowed: add_ahead() */
    BEHIND = 1 << 2, /* downtime */
};

static const unsigned shown[] = {
    [MIGRATION_NONE] = 0,
    [MIGRATION_SETUP] = 0,
    [MIGRATION_ACTIVE] = TIMES | AHEAD,
    [MIGRATION_PRE_SWITCHOVER] = TIMES | AHEAD,
    [MIGRATION_DEVICE] = TIMES | AHEAD,
    [MIGRATION_POSTCOPY_ACTIVE] = TIMES,
    [MIGRATION_COMPLETED] = TIMES | BEHIND,
    [MIGRATION_FAILED] = TIMES,
    [MIGRATION_CANCELLING] = TIMES | AHEAD,
    [MIGRATION_CANCELLED] = TIMES,
};
_Static_assert(ARRAY_LEN(shown) == MIGRATION_STATUS_N, "a row for each status");

/* The downtime can be estimated only after a rate has been measured. */
static void add_ahead(json_t *root, const struct migration_snapshot *s)
{
    json_object_set_new(root, "remaining", number(s->remaining_bytes));
    if (s->expected_downtime_ms != UINT64_MAX)
        json_object_set_new(root, "expected-downtime", number(s->expected_downtime_ms));
    if (s->throttle_percent)
        json_object_set_new(root, "cpu-throttle-percentage", number(s->throttle_percent));
    if (s->vcpu_dirty_limit_bytes_per_s)
        json_object_set_new(root, "vcpu-dirty-limit",
                            number(s->vcpu_dirty_limit_bytes_per_s >> 20));
}

json_t *advice_json(const struct advice *a)
{
    static const char *const helps[] = {
        [ADVICE_SLOW] = "auto-converge",
        [ADVICE_COMPRESS] = "multifd-compression",
        [ADVICE_BANDWIDTH] = "max-bandwidth",
        [ADVICE_DOWNTIME] = "downtime-limit",
    };
    char text[ADVICE_TEXT_LEN];
    json_t *root = json_object(), *list = json_array();

    for (size_t i = 0; i < ARRAY_LEN(helps); i++) {
        if (a->helps & 1U << i)
            json_array_append_new(list, json_string(helps[i]));
    }
    json_object_set_new(root, "desc", json_string(advice_text(a, advice_settings, text)));
    json_object_set_new(root, "written-bytes-per-second", number(a->written_bytes_per_s));
    json_object_set_new(root, "moved-bytes-per-second", number(a->moved_bytes_per_s));
    json_object_set_new(root, "expected-downtime", number(a->expected_downtime_ms));
    json_object_set_new(root, "enough-downtime-limit", number(a->enough_ms));
    json_object_set_new(root, "helps", list);
    return root;
}

static void add_source(json_t *root, const struct vm_migration *m)
{
    const struct migration_snapshot *s = &m->now;

    if (shown[m->status] & TIMES) {
        json_object_set_new(root, "total-time", number(s->total_ms));
        json_object_set_new(root, "setup-time", number(s->setup_ms));
        json_object_set_new(root, "ram", ram_json(s));
    }
    if (shown[m->status] & AHEAD)
        add_ahead(root, s);
    if (s->advice.given)
        json_object_set_new(root, "x-advice", advice_json(&s->advice));
    if (shown[m->status] & BEHIND)
        json_object_set_new(root, "downtime", number(s->downtime_ms));
}

static void add_failure(json_t *root, const struct error *failure)
{
    char line[ERR_LINE_LEN];

    if (failure->kind == ERR_NONE)
        return;
    qmp_error_line(failure, line);
    json_object_set_new(root, "error-desc", json_string(line));
}

json_t *query_migrate_json(const struct vm_migration *m)
{
    json_t *root = json_object(), *listening = m->listening[0] ? address_json(m->listening) : NULL;

    if (listening)
        json_object_set_new(root, "socket-address", json_pack("[o]", listening));
    if (m->status == MIGRATION_NONE)
        return root;
    json_object_set_new(root, "status", json_string(migration_status_name(m->status)));
    add_failure(root, &m->failure);
    if (m->outgoing)
        add_source(root, m);
    json_object_set_new(root, "channels", channels_json(&m->now));
    return root;
}
