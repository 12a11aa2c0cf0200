#include "tools/session.h"

#include <stdio.h>
#include <sys/resource.h>

#include "base/cancel.h"
#include "tools/interrupt.h"
#include "tools/line.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/report.h"

const struct engine *session_engine(const struct session_ops *ops, const struct options *options,
                                    bool zero_copy)
{
    char notice[ENGINE_NOTICE_LEN];
    const struct engine *engine = engine_choose(options->engine, zero_copy, notice);

    if (notice[0])
        line_print(stderr, "ramjet %s: %s", ops->verb == VERB_SEND ? "send" : "recv", notice);
    return engine;
}

static int run(const struct session_ops *ops, void *arg, const struct options *options,
               struct error *err)
{
    if (interrupt_start(ops->cancel, arg, err) < 0)
        return -1;
    int rc = progress_start(options->progress, ops->stats, arg, err);
    if (rc == 0)
        rc = ops->run(arg, err);
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

    if (ops->is_worth_a_report && !ops->is_worth_a_report(arg))
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
