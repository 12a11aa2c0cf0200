#include "tools/session.h"

#include <stdio.h>

#include "tools/interrupt.h"
#include "tools/progress.h"
#include "tools/report.h"

const struct engine *session_engine(const struct session_ops *ops, const struct options *options,
                                    bool zero_copy)
{
    char notice[ENGINE_NOTICE_LEN];
    const struct engine *engine = engine_choose(options->engine, zero_copy, notice);

    if (notice[0])
        fprintf(stderr, "ramjet %s: %s\n", ops->verb == VERB_SEND ? "send" : "recv", notice);
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

static int print_result(const struct session_ops *ops, void *arg, const struct options *options,
                        const struct error *failure, struct error *err)
{
    struct migration_snapshot snap;

    ops->stats(arg, &snap);
    return report(options, ops->verb, &snap, failure ? NULL : ops->ram(arg), failure, err);
}

int session_run(const struct session_ops *ops, void *arg, const struct options *options,
                struct error *err)
{
    struct error report_err;
    int rc = run(ops, arg, options, err);

    /*
     * Digests take long, and the guest is where it belongs: a signal may end that. Without them
     * what is left is short, and the exit code had better tell how the migration ended.
     */
    if (rc == 0 && options->digest)
        interrupt_unblock();
    if (print_result(ops, arg, options, rc < 0 ? err : NULL, &report_err) < 0 && rc == 0) {
        *err = report_err;
        rc = -1;
    }
    return rc;
}
