#include "tools/vm_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/units.h"
#include "tools/line.h"
#include "tools/result.h"

void vm_report_running(const struct options *o, uint64_t bytes)
{
    const char *what = o->guest ? o->guest : o->payload ? o->payload : "a guest that was migrated";
    char memory[UNIT_TEXT_LEN], cpus[COUNT_TEXT_LEN];

    result_event(o, "running",
                 json_pack("{s:o, s:I, s:i}", "guest", result_text(what), "memory",
                           (json_int_t)bytes, "cpus", (int)o->cpus),
                 "running %s, %s, %s", what, memory_text(bytes, memory),
                 count_text(o->cpus, "vCPU", cpus));
}

json_t *vm_report_json(struct guest_report *report, bool running)
{
    struct guest_verdict v;

    guest_report_verdict(report, &v);
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "running", running,
                     "heartbeats", (json_int_t)v.heartbeats, "longest-gap-us",
                     (json_int_t)v.longest_gap_us, "last-move-gap-us",
                     (json_int_t)v.last_move_gap_us, "moves", (json_int_t)v.moves, "pages-verified",
                     (json_int_t)v.pages_verified, "pages-written", (json_int_t)v.pages_written,
                     "sweeps", (json_int_t)v.sweeps, "errors", (json_int_t)v.errors);
}

void vm_report_print(struct guest_report *report)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    size_t n = guest_report_wrong(report, wrong);
    char text[GUEST_WRONG_TEXT], gap[UNIT_TEXT_LEN];
    struct guest_verdict v;

    guest_report_verdict(report, &v);
    printf("heartbeats      %" PRIu64 "\n", v.heartbeats);
    printf("longest gap     %s, by the guest's clock\n", short_time_text(v.longest_gap_us, gap));
    if (v.moves)
        printf("last move       %s; moves: %" PRIu64 "\n", short_time_text(v.last_move_gap_us, gap),
               v.moves);
    printf("pages verified  %" PRIu64 "\n", v.pages_verified);
    printf("pages written   %" PRIu64 "\n", v.pages_written);
    printf("errors          %" PRIu64 "\n", v.errors);
    for (size_t i = 0; i < n; i++) {
        guest_report_describe(&wrong[i], text, sizeof(text));
        printf("  %s\n", text);
    }
}

void vm_report_tell(struct guest_report *report, const char *state)
{
    char gap[UNIT_TEXT_LEN], pages[COUNT_TEXT_LEN], errors[COUNT_TEXT_LEN];
    struct guest_verdict v;

    guest_report_verdict(report, &v);
    line_print(stderr, "ramjet vm: %s, %s verified, %s, longest gap %s", state,
               count_text(v.pages_verified, "page", pages), count_text(v.errors, "error", errors),
               short_time_text(v.longest_gap_us, gap));
}

int vm_report_judge(struct guest_report *report, struct error *err)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    char first[GUEST_WRONG_TEXT] = "reported before it came here";
    struct guest_verdict v;
    uint64_t code;

    if (guest_report_failure(report, err) < 0)
        return -1;
    guest_report_verdict(report, &v);
    if (guest_report_wrong(report, wrong) > 0)
        guest_report_describe(&wrong[0], first, sizeof(first));
    if (v.errors)
        return err_set(err, ERR_PEER, "errors found by the guest: %" PRIu64 "; the first: %s",
                       v.errors, first);
    if (guest_report_ended(report, &code))
        return code ? err_set(err, ERR_PEER, "the guest has ended itself with %" PRIu64, code) : 0;
    if (v.heartbeats == 0 && !v.shared)
        return err_set(err, ERR_PEER, "the guest was ended before it reported anything");
    return 0;
}
