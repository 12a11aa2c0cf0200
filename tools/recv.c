#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cancel.h"
#include "capture/target.h"
#include "migration/destination.h"
#include "migration/measurement.h"
#include "migration/plan.h"
#include "settings/gate.h"
#include "tools/activation.h"
#include "tools/interrupt.h"
#include "tools/line.h"
#include "tools/measure_report.h"
#include "tools/metrics.h"
#include "tools/notice.h"
#include "tools/notify.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/phase.h"
#include "tools/remedy.h"
#include "tools/result.h"
#include "tools/security.h"
#include "tools/session.h"
#include "tools/verbs.h"
#include "transport/transport.h"

#define FOLDER "folder:"

/* Helper threads only if cores are left idle by the channels and by a source on the same host. */
static unsigned populate_threads(void)
{
    cpu_set_t cpus;

    if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
        return 0;
    return (unsigned)CPU_COUNT(&cpus) / 4;
}

static bool is_folder(const char *target)
{
    return strncmp(target, FOLDER, strlen(FOLDER)) == 0;
}

/* Checks that target.h does not make: options that the target does not support. */
static int check_target(const char *target, const struct target_config *config, struct error *err)
{
    if (config->sync && strcmp(target, "null:") == 0)
        return err_set(err, ERR_USAGE, "--sync: a target null: has nothing for a disk");
    if (config->direct && strncmp(target, "file:", 5) != 0 && !config->folder)
        return err_set(err, ERR_USAGE, "direct-io: expected a target file:PATH, not '%.100s'",
                       target);
    if (config->force && config->folder)
        return err_set(err, ERR_USAGE, "--force: nothing is replaced in %.100s", target);
    return 0;
}

static int open_target(const char *target, const struct options *options, struct target **ret,
                       struct error *err)
{
    const char *colon = strchr(target, ':');
    struct target_config config = {
        .path = colon ? colon + 1 : "",
        .folder = is_folder(target),
        .force = options->force,
        .sync = options->sync,
        .direct = settings_number(&options->settings, PARAM_DIRECT_IO),
        .checksums = options->checksums,
    };

    if (check_target(target, &config, err) < 0)
        return -1;
    if (strncmp(target, "file:", 5) == 0 || config.folder)
        return target_file_new(&config, ret, err);
    if (strncmp(target, "raw:", 4) == 0)
        return target_raw_new(&config, ret, err);
    if (strcmp(target, "null:") == 0)
        return target_null_new(ret, err);
    return err_set(err, ERR_USAGE,
                   "target '%.100s': expected file:PATH, raw:DIR, folder:DIR or null:", target);
}

/* --- the session ----------------------------------------------------------------------------- */

/* What all migrations of one run share. */
struct receiver {
    const struct options *options;
    const char *listen, *target; /* as the user wrote them */
    struct listener listener;    /* sockets that are used again, or that were handed to us */
    struct destination_config config;
};

/* One migration. */
struct reception {
    const struct receiver *receiver;
    struct target *to;
    struct measurement seen;      /* in a dry run */
    struct measurement *measured; /* `seen`; NULL: the guest is taken */
    struct destination *incoming;
    bool begun;             /* a source has come */
    atomic_bool ends_by_us; /* a signal has come */
};

static int run(void *arg, struct error *err)
{
    const struct reception *r = arg;
    const char *target = r->receiver->target;

    if (destination_run(r->incoming, err) == 0)
        return 0;
    if (strcmp(target, "null:") != 0 && !is_folder(target) && !destination_holds_guest(r->incoming))
        err_add(err, "; %.200s was not written", target);
    return -1;
}

static void cancel(void *arg)
{
    struct reception *r = arg;

    atomic_store(&r->ends_by_us, true);
    notify("STOPPING=1");
    destination_cancel(r->incoming);
}

static void read_stats(void *arg, struct migration_snapshot *ret)
{
    const struct reception *r = arg;

    destination_stats(r->incoming, ret);
    ret->expected_downtime_ms = UINT64_MAX; /* only a source knows it */
}

static const struct ram_map *ram(void *arg)
{
    const struct reception *r = arg;

    return destination_ram(r->incoming);
}

static const char *file(void *arg)
{
    const struct reception *r = arg;
    const char *path = is_folder(r->receiver->target) ? target_file_path(r->to) : "";

    return path[0] ? path : NULL;
}

/* Without a source there was no migration: a receiver that stays reports nothing then. */
static bool is_worth_a_report(void *arg)
{
    const struct reception *r = arg;

    return r->begun || !r->receiver->options->repeat;
}

static void note_status(void *arg, enum migration_status status)
{
    struct reception *r = arg;

    if (status == MIGRATION_SETUP)
        r->begun = true;
    session_phase(VERB_RECV, r->receiver->options, r->receiver->listen, status);
    detail_status(NULL, status);
}

static void tell_refused(void *arg, const struct error *why)
{
    char line[ERR_LINE_LEN];

    (void)arg;
    error_line(why, line);
    notice("not let in: %s", line);
}

static int report_measured(void *arg, const struct migration_snapshot *snap, uint64_t cpu_ms,
                           const struct error *failure, struct error *err)
{
    const struct reception *r = arg;

    return measure_report(r->receiver->options, snap, r->measured, cpu_ms, failure, err);
}

static const struct session_ops dry_ops = {
    .verb = VERB_RECV,
    .run = run,
    .cancel = cancel,
    .stats = read_stats,
    .ram = ram,
    .report = report_measured,
    .is_worth_a_report = is_worth_a_report,
};

static const struct session_ops ops = {
    .verb = VERB_RECV,
    .run = run,
    .cancel = cancel,
    .stats = read_stats,
    .ram = ram,
    .file = file,
    .is_worth_a_report = is_worth_a_report,
};

static void tell_address(const struct options *o, const char *address)
{
    result_event(o, "listening", json_pack("{s:o}", "address", result_text(address)),
                 "listening %s", address);
    notify("READY=1\nSTATUS=listening %s", address);
}

/* Looking up a host's name may take long. */
static int listen_interruptibly(struct reception *r, struct error *err)
{
    if (interrupt_start(cancel, r, err) < 0)
        return -1;
    int rc = destination_listen(r->incoming, err);
    interrupt_stop();
    if (rc == 0 && !r->receiver->config.connect.listening)
        tell_address(r->receiver->options, destination_address(r->incoming));
    return rc;
}

static int receive_into(struct reception *r, struct error *err)
{
    const struct receiver *receiver = r->receiver;
    struct destination_config config = receiver->config;

    config.measurement = r->measured;
    config.observer = (struct migration_observer){
        .status = note_status,
        .refused = tell_refused,
        .arg = r,
    };
    if (destination_new(&config, r->to, &r->incoming, err) < 0)
        return -1;
    int rc = listen_interruptibly(r, err);
    session_phase(VERB_RECV, receiver->options, receiver->listen, MIGRATION_NONE);
    if (rc == 0)
        rc = session_run(r->measured ? &dry_ops : &ops, r, receiver->options, err);
    destination_free(r->incoming);
    return rc;
}

static int measure(const struct receiver *receiver, struct reception *ret, struct error *err)
{
    if (measurement_init(&ret->seen, receiver->options->source_limit_ms, err) < 0)
        return -1;
    ret->measured = &ret->seen;
    int rc = target_measure_new(&ret->seen, &ret->to, err);
    if (rc == 0) {
        rc = receive_into(ret, err);
        target_free(ret->to);
    }
    measurement_done(&ret->seen);
    return rc;
}

static int receive(const struct receiver *receiver, struct reception *ret, struct error *err)
{
    *ret = (struct reception){.receiver = receiver};
    if (receiver->options->dry_run)
        return measure(receiver, ret, err);
    if (open_target(receiver->target, receiver->options, &ret->to, err) < 0)
        return -1;
    int rc = receive_into(ret, err);
    target_free(ret->to);
    return rc;
}

/* --- one migration after the other ----------------------------------------------------------- */

/* A failure that another migration would not have: this one is told, and the next one waited for.
 */
static bool goes_on_after(const struct reception *r, const struct error *err)
{
    if (atomic_load(&r->ends_by_us) || err->kind == ERR_REPORT)
        return false;
    return r->begun || err->kind == ERR_PEER;
}

static void tell_failed(const struct reception *r, const struct error *why)
{
    char line[ERR_LINE_LEN];

    if (!r->begun) {
        tell_refused(NULL, why);
        return;
    }
    error_line(why, line);
    line_print(stderr, "ramjet recv: %s", line);
}

/* A signal ends it: between two migrations that is no failure. */
static int receive_many(const struct receiver *receiver, struct error *err)
{
    unsigned most = receiver->options->repeat_most, taken = 0, failed = 0;
    struct reception r;

    do {
        int rc = receive(receiver, &r, err);

        if (rc < 0 && !goes_on_after(&r, err))
            return atomic_load(&r.ends_by_us) && !r.begun ? 0 : -1;
        if (rc < 0)
            tell_failed(&r, err);
        taken += r.begun;
        failed += r.begun && rc < 0;
        notify("STATUS=listening; migrations: %u completed, %u failed", taken - failed, failed);
    } while ((most == 0 || taken < most) && !atomic_load(&r.ends_by_us));
    if (most == 0 || failed == 0)
        return 0;
    return err_set(err, ERR_SYSTEM, "%u of %u migrations failed", failed, taken);
}

static void on_signal(void *arg)
{
    cancel_request(arg);
}

static int open_listener(struct receiver *receiver, struct error *err)
{
    struct cancel stop;

    if (cancel_init(&stop, err) < 0)
        return -1;
    const struct transport_config config = {
        .connect_timeout_ms = receiver->options->connect_timeout_ms,
        .stall_timeout_ms = receiver->options->stall_timeout_ms,
        .cancel = &stop,
    };
    int rc = interrupt_start(on_signal, &stop, err);
    if (rc == 0) {
        rc = transport_listen(&receiver->config.connect.address, &config, &receiver->listener, err);
        interrupt_stop();
    }
    cancel_done(&stop);
    return rc;
}

/* On sockets that this program has opened for more than one migration, or that it was handed. */
static int receive_there(struct receiver *receiver, struct error *err)
{
    struct reception r;

    receiver->config.connect.listening = &receiver->listener;
    tell_address(receiver->options, receiver->listener.text);
    if (!receiver->options->repeat)
        return receive(receiver, &r, err);
    receiver->config.main_any_time = true;
    return receive_many(receiver, err);
}

/* Targets that only one migration can have are not for many. */
static int check_repeat(const struct receiver *receiver, struct error *err)
{
    if (is_folder(receiver->target) &&
        target_folder_check(receiver->target + strlen(FOLDER), err) < 0)
        return -1;
    if (!receiver->options->repeat || is_folder(receiver->target) ||
        strcmp(receiver->target, "null:") == 0)
        return 0;
    return err_set(err, ERR_USAGE,
                   "--repeat: expected a target null: or folder:DIR, not '%.100s', which only one "
                   "migration can have",
                   receiver->target);
}

/* --- the command line ------------------------------------------------------------------------ */

#define NOTHING "null:" /* the target of a dry run, as far as targets are asked about */

/* A dry run has no target, so that nobody expects anything there. */
static int check_words(const struct options *o, const char *args[2], size_t n, struct error *err)
{
    const char *lonely = o->sync ? "--sync" : o->force ? "--force" : o->digest ? "--digest" : NULL;

    if (o->source_limit_said && !o->dry_run)
        return err_set(err, ERR_USAGE,
                       "--downtime-limit: set at the source; here only --dry-run "
                       "asks for it");
    if (!o->dry_run && n != 2)
        return err_set(err, ERR_USAGE, "expected LISTEN and TARGET; see ramjet help recv");
    if (!o->dry_run)
        return 0;
    if (n != 1)
        return err_set(err, ERR_USAGE,
                       "--dry-run: expected LISTEN and no TARGET, as nothing is kept");
    if (lonely)
        return err_set(err, ERR_USAGE, "--dry-run: leave out %s, as nothing is kept", lonely);
    args[1] = NOTHING;
    return 0;
}

/* A listening descriptor accepts many connections; a connected one is a single connection. */
static uint64_t address_facts(const struct address *at)
{
    int listening = 0;
    socklen_t len = sizeof(listening);

    if (getsockopt(at->fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening)
        return 0;
    return gate_address_facts(at);
}

/* Sockets that were handed over are open from the start. */
static int find_address(struct receiver *r, struct error *err)
{
    struct address *at = &r->config.connect.address;

    if (!activation_is_address(r->listen))
        return address_parse(r->listen, at, err);
    if (activation_listen(r->listen, &r->listener, err) < 0)
        return -1;
    *at = (struct address){.scheme = ADDRESS_FD, .fd = r->listener.fds[0]};
    snprintf(at->text, sizeof(at->text), "%.*s", (int)sizeof(at->text) - 1, r->listener.text);
    return 0;
}

/* Fills the engine's config from the options. */
static int configure(struct options *options, struct receiver *r, struct error *err)
{
    struct destination_config *ret = &r->config;

    if (find_address(r, err) < 0 || output_is_apart(&ret->connect.address, err) < 0)
        return -1;
    if (options_start(options, AT_INCOMING, address_facts(&ret->connect.address), err) < 0)
        return err_in(err, "%s", r->listen);
    ret->connect.engine = session_engine(options, false);
    ret->connect.connect_timeout_ms = options->connect_timeout_ms;
    ret->connect.stall_timeout_ms = options->stall_timeout_ms;
    ret->connect.answer_timeout_ms = options->answer_timeout_ms;
    destination_configure(&options->settings, ret);
    detail_settings(&options->settings);
    ret->machine = options->machine;
    ret->uuid = options->has_uuid ? &options->uuid : NULL;
    return 0;
}

static int take(struct receiver *receiver, struct error *err)
{
    struct reception r;

    bool handed = activation_is_address(receiver->listen);
    if (!handed && !receiver->options->repeat)
        return receive(receiver, &r, err);
    /* The sockets stay open between two migrations, so that no source is refused there. */
    int rc = handed ? 0 : open_listener(receiver, err);
    return rc == 0 ? receive_there(receiver, err) : -1;
}

static int take_with_metrics(struct receiver *receiver, struct error *err)
{
    interrupt_block(); /* from here on there is a target that may have to be removed */
    if (check_repeat(receiver, err) < 0 ||
        metrics_open(receiver->options->metrics, "recv", err) < 0)
        return -1;
    int rc = take(receiver, err);
    metrics_close();
    return rc;
}

int verb_recv(int argc, char **argv, struct error *err)
{
    struct receiver receiver;
    struct destination_config *config = &receiver.config;
    struct options options;
    struct tls_creds *tls = NULL;
    struct cpu_places *places = NULL;
    const char *args[2];
    size_t n;

    if (options_parse(VERB_RECV, argc, argv, &options, args, ARRAY_LEN(args), &n, err) < 0)
        return -1;
    if (check_words(&options, args, n, err) < 0)
        return -1;
    phase_start("recv", options.progress);
    receiver = (struct receiver){.options = &options, .listen = args[0], .target = args[1]};
    destination_config_init(config);
    config->populate_threads = populate_threads();
    int rc = configure(&options, &receiver, err);
    if (rc == 0)
        rc = security_open(VERB_RECV, &options, &config->connect.address, &tls, err);
    config->connect.tls = tls;
    if (rc == 0)
        rc = cpu_places_parse(options.places, &places, err);
    config->places = places;
    if (rc == 0)
        rc = take_with_metrics(&receiver, err);
    listener_done(&receiver.listener);
    cpu_places_free(places);
    tls_creds_free(tls);
    return rc;
}
