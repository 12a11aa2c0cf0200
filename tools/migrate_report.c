#include "tools/migrate_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json_read.h"
#include "base/units.h"
#include "control/query_migrate.h"
#include "drive/monitor.h"
#include "tools/notice.h"
#include "tools/output.h"
#include "tools/remedy.h"
#include "tools/result.h"

/* --- while it runs --------------------------------------------------------------------------- */

static uint64_t page_size(const json_t *ram)
{
    uint64_t size = json_count(ram, "page-size");

    return size ? size : 4096;
}

static const char *rate_since(const json_t *before, const json_t *now, uint64_t ms,
                              char ret[static UNIT_TEXT_LEN])
{
    uint64_t was = json_count(json_object_get(before, "ram"), "transferred");
    uint64_t is = json_count(json_object_get(now, "ram"), "transferred");

    return rate_over_text(is > was ? is - was : 0, ms, ret);
}

void migrate_line(const json_t *before, const json_t *now, uint64_t ms, struct live_line *ret)
{
    const json_t *ram = json_object_get(now, "ram");
    uint64_t expected = json_count(now, "expected-downtime");
    uint64_t throttle = json_count(now, "cpu-throttle-percentage");
    uint64_t rounds = json_count(ram, "dirty-sync-count");
    uint64_t written = json_count(ram, "dirty-pages-rate");
    char status[MONITOR_WORD_MAX], text[UNIT_TEXT_LEN];

    json_word(now, "status", "starting", status, sizeof(status));
    live_line_begin(ret);
    live_line_add(ret, LIVE_STATE, "%s", status);
    if (!ram)
        return;
    live_line_add(ret, LIVE_STATE, " round %" PRIu64, rounds);
    live_line_add(ret, LIVE_RATE, ", %s", rate_since(before, now, ms, text));
    live_line_add(ret, LIVE_LEFT, ", %s left", size_text(json_count(ram, "remaining"), text));
    if (rounds > 1 || written) /* in the first round nobody has counted what is written */
        live_line_add(ret, LIVE_GUEST, ", dirty %s", rate_text(written * page_size(ram), text));
    if (expected)
        live_line_add(ret, LIVE_ESTIMATE, ", downtime would be %s", time_text(expected, text));
    if (throttle)
        live_line_add(ret, LIVE_GUEST, ", vCPUs slowed by %" PRIu64 " %%", throttle);
}

/* --- the result for programs ----------------------------------------------------------------- */

static json_t *vm_json(const char *address, const char *state)
{
    return json_pack("{s:s, s:s?}", "address", address, "run-state", state);
}

/*
 * query-migrate's members as they are, and what this program knows in addition. FROM's own status
 * may be another than the result's: a VM whose monitor was lost goes on without us.
 */
static int print_json(const struct drive_result *r, const struct error *failure, struct error *err)
{
    json_t *root = json_copy(r->migration);

    json_object_set(root, "migration-status", json_object_get(r->migration, "status"));
    json_object_set_new(root, "uri", json_string(r->uri));
    json_object_set_new(root, "from", vm_json(r->from, r->from_state));
    if (r->to)
        json_object_set_new(root, "to", vm_json(r->to, r->to_state));
    if (r->file)
        json_object_set_new(root, "file", result_text(r->file));
    if (r->guest)
        json_object_set(root, "guest", r->guest);
    if (r->advice)
        json_object_set_new(root, "advice", advice_json(r->advice));
    return result_print(root, failure, err);
}

/* --- the result for people ------------------------------------------------------------------- */

static void print_pages(const json_t *migration, const json_t *ram)
{
    char setup[UNIT_TEXT_LEN];

    printf("  pages: %" PRIu64 " with data, %" PRIu64 " zero; rounds: %" PRIu64 "; setup %s\n",
           json_count(ram, "normal"), json_count(ram, "duplicate"),
           json_count(ram, "dirty-sync-count"),
           time_text(json_count(migration, "setup-time"), setup));
}

static void print_downtime(const json_t *migration, const json_t *guest)
{
    uint64_t own_us = json_count(guest, "last-move-gap-us");
    char text[UNIT_TEXT_LEN];

    printf("  downtime: %s", time_text(json_count(migration, "downtime"), text));
    if (own_us)
        printf("; by the guest's own clock %s", short_time_text(own_us, text));
    putchar('\n');
}

static void print_guest(const json_t *guest)
{
    char pages[COUNT_TEXT_LEN];

    if (guest)
        printf("  guest: %s verified, %" PRIu64 " wrong\n",
               count_text(json_count(guest, "pages-verified"), "page", pages),
               json_count(guest, "errors"));
}

static void print_channels(const json_t *channels)
{
    char size[UNIT_TEXT_LEN];
    size_t i;
    json_t *c;

    if (json_array_size(channels))
        printf("  channel      size    packets  with data       zero  wait ms  codec ms\n");
    json_array_foreach(channels, i, c)
    {
        printf("  %7" PRIu64 " %9s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %8" PRIu64 " %9" PRIu64
               "\n",
               json_count(c, "id"), size_text(json_count(c, "bytes"), size),
               json_count(c, "packets"), json_count(c, "normal"), json_count(c, "zero"),
               json_count(c, "wait-ms"), json_count(c, "codec-ms"));
    }
}

static void print_states(const struct drive_result *r)
{
    const char *from = r->from_state ? r->from_state : "silent";

    if (r->file)
        printf("  %s; the VM %s%s\n", r->file, r->from_state ? "is " : "has ended",
               r->from_state ? from : "");
    else
        printf("  TO is %s, FROM is %s\n", r->to_state ? r->to_state : "silent", from);
}

static void print_totals(const struct drive_result *r)
{
    char status[MONITOR_WORD_MAX], advice[ADVICE_TEXT_LEN];
    const json_t *ram = json_object_get(r->migration, "ram");
    uint64_t ms = json_count(r->migration, "total-time"), bytes = json_count(ram, "transferred");
    char total[UNIT_TEXT_LEN], time[UNIT_TEXT_LEN], wire[UNIT_TEXT_LEN], rate[UNIT_TEXT_LEN];

    json_word(r->migration, "status", "", status, sizeof(status));
    printf("%s: %s: %s of RAM in %s, %s on the wire, %s\n", notice_verb(), status,
           memory_text(json_count(ram, "total"), total), time_text(ms, time),
           size_text(bytes, wire), rate_over_text(bytes, ms, rate));
    print_pages(r->migration, ram);
    if (r->advice)
        printf("  %s\n", advice_text(r->advice, remedy_advice, advice));
}

static void print_text(const struct drive_result *r)
{
    print_totals(r);
    print_downtime(r->migration, r->guest);
    print_channels(json_object_get(r->migration, "channels"));
    print_guest(r->guest);
    print_states(r);
}

int migrate_print(const struct drive_result *r, const struct error *failure, bool json,
                  struct error *err)
{
    if (json)
        return print_json(r, failure, err);
    if (!failure)
        print_text(r);
    else if (failure->kind == ERR_CANCELLED)
        print_totals(r);
    return output_flush(err);
}
