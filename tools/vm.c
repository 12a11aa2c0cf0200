#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "base/clock.h"
#include "tools/interrupt.h"
#include "tools/options.h"
#include "tools/verbs.h"
#include "vmm/machine_kvm.h"

/* --- what it says ---------------------------------------------------------------------------- */

/* The first line, once every vCPU has been heard: who starts us knows that the guest runs. */
static void print_running(const struct options *o)
{
    printf("running %s, %" PRIu64 " MiB, %u vCPU%s\n", o->guest, o->memory_bytes >> 20, o->cpus,
           o->cpus == 1 ? "" : "s");
    fflush(stdout);
}

static void print_json(const struct guest_verdict *v, bool running)
{
    json_t *root =
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I}", "running", running, "heartbeats",
                  (json_int_t)v->heartbeats, "longest-gap-us", (json_int_t)v->longest_gap_us,
                  "pages-verified", (json_int_t)v->pages_verified, "pages-written",
                  (json_int_t)v->pages_written, "errors", (json_int_t)v->errors);

    json_dumpf(root, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(root);
}

static void print_text(struct guest_report *report, const struct guest_verdict *v)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    size_t n = guest_report_wrong(report, wrong);
    char text[GUEST_WRONG_TEXT];

    printf("heartbeats      %" PRIu64 "\n", v->heartbeats);
    printf("longest gap     %.3f ms, by the guest's clock\n", (double)v->longest_gap_us / 1000);
    printf("pages verified  %" PRIu64 "\n", v->pages_verified);
    printf("pages written   %" PRIu64 "\n", v->pages_written);
    printf("errors          %" PRIu64 "\n", v->errors);
    for (size_t i = 0; i < n; i++) {
        guest_report_describe(&wrong[i], text, sizeof(text));
        printf("  %s\n", text);
    }
}

/* --- how it ends ----------------------------------------------------------------------------- */

/* What speaks against the guest: that it died, was wrong, or has said nothing. */
static int judge(struct guest_report *report, const struct guest_verdict *v, struct error *err)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    char first[GUEST_WRONG_TEXT] = "told before it came here";
    uint64_t code;

    if (guest_report_failure(report, err) < 0)
        return -1;
    if (guest_report_wrong(report, wrong) > 0)
        guest_report_describe(&wrong[0], first, sizeof(first));
    if (v->errors)
        return err_set(err, ERR_PEER, "errors found by the guest: %" PRIu64 "; the first: %s",
                       v->errors, first);
    if (guest_report_ended(report, &code) && code)
        return err_set(err, ERR_PEER, "the guest has ended itself with %" PRIu64, code);
    if (guest_report_ended(report, &code))
        return 0;
    if (v->heartbeats == 0)
        return err_set(err, ERR_PEER, "the guest was ended before it said anything");
    return 0;
}

static int result(struct machine *m, const struct options *o, struct error *err)
{
    struct guest_report *report = machine_kvm_report(m);
    struct guest_verdict verdict;
    struct error ignored;

    guest_report_verdict(report, &verdict);
    if (o->json)
        print_json(&verdict, guest_report_failure(report, &ignored) == 0);
    else
        print_text(report, &verdict);
    return judge(report, &verdict, err);
}

static void on_interrupt(void *arg)
{
    guest_report_interrupt(arg);
}

/* Until a signal, the time that was asked for, or the guest's own end. */
static int run(struct machine *m, const struct options *o, struct error *err)
{
    struct guest_report *report = machine_kvm_report(m);
    uint64_t deadline = deadline_in_ms(o->run_for_ms);

    if (interrupt_start(on_interrupt, report, err) < 0)
        return -1;
    machine_resume(m, MACHINE_PAUSED);
    if (guest_report_wait(report, 1, 0, deadline)) {
        print_running(o);
        guest_report_wait(report, UINT64_MAX, 0, deadline);
    }
    interrupt_stop();
    return machine_stop(m, MACHINE_PAUSED, err);
}

int verb_vm(int argc, char **argv, struct error *err)
{
    struct options options;
    struct machine *machine;
    size_t n;

    if (options_parse(VERB_VM, argc, argv, &options, NULL, 0, &n, err) < 0)
        return -1;
    if (!options.guest)
        return err_set(err, ERR_USAGE, "expected --guest NAME; see ramjet help vm");
    const struct machine_kvm_config config = {
        .guest = options.guest, .bytes = options.memory_bytes, .cpus = options.cpus};
    interrupt_block();
    if (machine_kvm_new(&config, &machine, err) < 0)
        return -1;
    int rc = run(machine, &options, err);
    if (rc == 0)
        rc = result(machine, &options, err);
    machine_free(machine);
    return rc;
}
