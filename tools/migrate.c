#include "drive/drive.h"
#include "tools/interrupt.h"
#include "tools/metrics.h"
#include "tools/metrics_query.h"
#include "tools/migrate_report.h"
#include "tools/migrate_view.h"
#include "tools/notice.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/phase.h"
#include "tools/verbs.h"

/* Something to know, not a failure. */
static void note(void *arg, const char *text)
{
    (void)arg;
    notice("note: %s", text);
}

static void on_signal(void *arg)
{
    drive_cancel(arg);
}

static int print(struct drive *d, const struct error *failure, bool json, struct error *err)
{
    struct drive_result result;
    struct migration_snapshot end;

    if (!drive_result(d, &result))
        return 0;
    metrics_query_read(result.migration, &end);
    metrics_show(&end);
    metrics_ended(!failure                         ? MIGRATION_COMPLETED
                  : failure->kind == ERR_CANCELLED ? MIGRATION_CANCELLED
                                                   : MIGRATION_FAILED);
    return migrate_print(&result, failure, json, err);
}

static int migrate(struct drive *d, struct migrate_view *view, bool json, struct error *err)
{
    struct error print_err;

    interrupt_tell(migrate_view_tell, view);
    if (interrupt_start(on_signal, d, err) < 0)
        return -1;
    int rc = drive_run(d, err);
    interrupt_stop();
    if (print(d, rc < 0 ? err : NULL, json, &print_err) < 0 && rc == 0) {
        *err = print_err;
        rc = output_lost(err, "the guest is at TO");
    }
    return rc;
}

/* From here on a signal is an orderly cancel; before this, there is nothing to undo. */
static int migrate_with_metrics(struct drive *d, struct migrate_view *view,
                                const struct options *options, struct error *err)
{
    interrupt_block();
    if (metrics_open(options->metrics, "migrate", err) < 0)
        return -1;
    int rc = migrate(d, view, options->json, err);
    metrics_close();
    return rc;
}

static void configure(const struct options *o, struct migrate_view *view,
                      struct metrics_query *query, struct drive_config *ret)
{
    drive_config_init(ret);
    ret->settings = o->settings;
    ret->tls_creds_from = o->tls_creds_from;
    ret->tls_creds_to = o->tls_creds_to;
    ret->listen_host = o->listen_host;
    ret->uri = o->uri;
    ret->connect_timeout_ms = o->connect_timeout_ms;
    ret->stall_timeout_ms = o->stall_timeout_ms;
    ret->limit_ms = o->limits.after_ms;
    ret->limit_rounds = o->limits.rounds;
    ret->limit_switches = o->limits.what == AT_LIMIT_SWITCH;
    migrate_view_watch(view, o->progress, ret);
    ret->note = note;
    if (o->metrics)
        metrics_query_watch(query, ret);
}

int verb_migrate(int argc, char **argv, struct error *err)
{
    struct options options;
    struct drive_config config;
    struct migrate_view view = MIGRATE_VIEW_NEW;
    struct metrics_query query;
    const char *words[2];
    struct drive *d;
    size_t n;

    if (options_parse(VERB_MIGRATE, argc, argv, &options, words, ARRAY_LEN(words), &n, err) < 0)
        return -1;
    if (n != 2)
        return err_set(err, ERR_USAGE, "expected FROM and TO; see ramjet help migrate");
    phase_start("migrate", options.progress);
    phase_set((struct phase_limit){options.connect_timeout_ms, "--connect-timeout"},
              "asking the monitors of %s and %s", words[0], words[1]);
    configure(&options, &view, &query, &config);
    detail_settings(&config.settings);
    if (drive_open(words[0], words[1], &config, &d, err) < 0)
        return -1;
    int rc = migrate_with_metrics(d, &view, &options, err);
    drive_free(d);
    migrate_view_done(&view);
    return rc;
}
