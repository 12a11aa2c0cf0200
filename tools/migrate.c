#include "base/clock.h"
#include "drive/drive.h"
#include "tools/interrupt.h"
#include "tools/migrate_report.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/remedy.h"
#include "tools/verbs.h"

/* --- under way ------------------------------------------------------------------------------- */

/* A line per second. */
struct view {
    json_t *before;    /* at the last line */
    uint64_t at, next; /* ns; 0: it has not begun */
};

static void begin_view(struct view *v)
{
    v->at = clock_ns();
    v->next = v->at + NS_PER_S;
}

static void end_view(struct view *v)
{
    if (v->before)
        progress_clear();
    json_decref(v->before);
    v->before = NULL;
}

static void show(struct view *v, json_t *now)
{
    char line[MIGRATE_LINE_MAX];
    uint64_t ns = clock_ns();

    if (ns < v->next)
        return;
    migrate_line(v->before, now, (double)(ns - v->at) / (double)NS_PER_S, line);
    progress_show(line);
    json_decref(v->before);
    v->before = json_incref(now);
    v->at = ns;
    v->next = ns + NS_PER_S;
}

static void watch(void *arg, json_t *migration)
{
    struct view *v = arg;

    if (!migration)
        end_view(v);
    else if (!v->next)
        begin_view(v);
    else
        show(v, migration);
}

/* --- the whole ------------------------------------------------------------------------------- */

static void on_signal(void *arg)
{
    drive_cancel(arg);
}

static int print(struct drive *d, const struct error *failure, bool json, struct error *err)
{
    char line[ERR_LINE_LEN];
    struct drive_result result;

    if (!drive_result(d, &result))
        return 0;
    if (failure)
        error_line(failure, line);
    return migrate_print(&result, failure ? line : NULL, json, err);
}

/* From here on a signal is an orderly cancel; before this, there is nothing to undo. */
static int migrate(struct drive *d, bool json, struct error *err)
{
    struct error print_err;

    interrupt_block();
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

static void configure(const struct options *o, struct view *view, struct drive_config *ret)
{
    drive_config_init(ret);
    ret->settings = o->settings;
    ret->tls_creds_from = o->tls_creds_from;
    ret->tls_creds_to = o->tls_creds_to;
    ret->listen_host = o->listen_host;
    ret->uri = o->uri;
    ret->connect_timeout_ms = o->connect_timeout_ms;
    ret->stall_timeout_ms = o->stall_timeout_ms;
    ret->cancel_after_ms = o->cancel_after_ms;
    if (progress_wanted(o->progress)) {
        ret->watch = watch;
        ret->arg = view;
    }
}

int verb_migrate(int argc, char **argv, struct error *err)
{
    struct options options;
    struct drive_config config;
    struct view view = {0};
    const char *words[2];
    struct drive *d;
    size_t n;

    if (options_parse(VERB_MIGRATE, argc, argv, &options, words, ARRAY_LEN(words), &n, err) < 0)
        return -1;
    if (n != 2)
        return err_set(err, ERR_USAGE, "expected FROM and TO; see ramjet help migrate");
    configure(&options, &view, &config);
    if (drive_open(words[0], words[1], &config, &d, err) < 0)
        return -1;
    int rc = migrate(d, options.json, err);
    drive_free(d);
    return rc;
}
