#include "tools/session.h"

#include <stdio.h>
#include <sys/resource.h>

#include "base/cancel.h"
#include "tools/interrupt.h"
#include "tools/metrics.h"
#include "tools/notice.h"
#include "tools/output.h"
#include "tools/phase.h"
#include "tools/progress.h"
#include "tools/report.h"

const struct engine *session_engine(const struct options *options, bool zero_copy)
{
    char words[ENGINE_NOTICE_LEN];
    const struct engine *engine = engine_choose(options->engine, zero_copy, words);

    if (words[0])
        notice("%s", words);
    return engine;
}

struct told {
    const struct session_ops *ops;
    void *arg;
};

static void tell(void *arg)
{
    const struct told *t = arg;

    progress_tell(t->ops->stats, t->arg);
}

static void send_phase(const struct options *o, const char *where, enum migration_status status)
{
    switch (status) {
    case MIGRATION_SETUP:
        phase_set((struct phase_limit){o->connect_timeout_ms, "--connect-timeout"},
                  "connecting to %s", where);
        break;
    case MIGRATION_PRE_SWITCHOVER:
    case MIGRATION_DEVICE:
        phase_set((struct phase_limit){o->answer_timeout_ms, "--answer-timeout"},
                  "waiting for %s to say that it has the guest", where);
        break;
    default:
        phase_clear();
    }
}

static void recv_phase(const struct options *o, const char *where, enum migration_status status)
{
    if (status == MIGRATION_NONE && o->repeat)
        phase_set(PHASE_UNLIMITED, "waiting for a source at %s", where);
    else if (status == MIGRATION_NONE)
        phase_set((struct phase_limit){o->connect_timeout_ms, "--connect-timeout"},
                  "waiting for a source at %s", where);
    else if (status == MIGRATION_SETUP)
        phase_set((struct phase_limit){o->stall_timeout_ms, "--stall-timeout"},
                  "waiting for the source to begin");
    else
        phase_clear();
}

void session_phase(enum verb_bit verb, const struct options *options, const char *where,
                   enum migration_status status)
{
    if (status == MIGRATION_ACTIVE && !progress_wanted(options->progress))
        phase_set(PHASE_UNLIMITED, "%s memory (--progress always tells how it goes)",
                  verb == VERB_SEND ? "sending" : "receiving");
    else if (verb == VERB_SEND)
        send_phase(options, where, status);
    else
        recv_phase(options, where, status);
}

static bool is_worth_a_report(const struct session_ops *ops, void *arg)
{
    return !ops->is_worth_a_report || ops->is_worth_a_report(arg);
}

static int run(const struct session_ops *ops, void *arg, const struct options *options,
               struct error *err)
{
    struct told told = {ops, arg};

    interrupt_tell(tell, &told);
    if (interrupt_start(ops->cancel, arg, err) < 0)
        return -1;
    int rc = progress_start(options->progress, ops->stats, arg, err);
    metrics_watch(ops->stats, arg);
    if (rc == 0)
        rc = ops->run(arg, err);
    bool counts = is_worth_a_report(ops, arg);
    metrics_unwatch(counts);
    if (counts)
        metrics_ended(rc == 0                      ? MIGRATION_COMPLETED
                      : err->kind == ERR_CANCELLED ? MIGRATION_CANCELLED
                                                   : MIGRATION_FAILED);
    progress_stop();
    interrupt_stop();
    return rc;
}

static uint64_t process_cpu_ms(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static int print_result(const struct session_ops *ops, void *arg, const struct options *options,
                        uint64_t cpu_ms, const struct cancel *stop, const struct error *failure,
                        struct error *err)
{
    struct migration_snapshot snap;

    ops->stats(arg, &snap);
    detail_channels(&snap);
    if (ops->report)
        return ops->report(arg, &snap, cpu_ms, failure, err);
    return report(options, ops->verb, &snap, cpu_ms, failure ? NULL : ops->ram(arg),
                  failure || !ops->file ? NULL : ops->file(arg), stop, failure, err);
}

static void on_signal(void *arg)
{
    cancel_request(arg);
}

/*
 * Digests take long, and the migration has succeeded: a signal may end them. A result without
 * digests is printed quickly and no signal ends that, so that the exit code tells how the migration
 * ended.
 */
static int print_digests(const struct session_ops *ops, void *arg, const struct options *options,
                         uint64_t cpu_ms, struct error *err)
{
    struct cancel stop;

    if (cancel_init(&stop, err) < 0)
        return -1;
    int rc = interrupt_start(on_signal, &stop, err);
    if (rc == 0) {
        phase_set(PHASE_UNLIMITED, "reading the memory for its digest");
        rc = print_result(ops, arg, options, cpu_ms, &stop, NULL, err);
        interrupt_stop();
    }
    cancel_done(&stop);
    return rc;
}

int session_run(const struct session_ops *ops, void *arg, const struct options *options,
                struct error *err)
{
    struct error report_err;
    uint64_t cpu_before_ms = process_cpu_ms(); /* without the time to make a source */
    int rc = run(ops, arg, options, err);
    uint64_t cpu_ms = process_cpu_ms() - cpu_before_ms;

    if (!is_worth_a_report(ops, arg))
        return rc;
    bool printed =
        rc == 0 && options->digest
            ? print_digests(ops, arg, options, cpu_ms, &report_err) == 0
            : print_result(ops, arg, options, cpu_ms, NULL, rc < 0 ? err : NULL, &report_err) == 0;

    if (!printed && rc == 0) {
        *err = report_err;
        rc = output_lost(err, "the migration has succeeded");
    }
    return rc;
}
