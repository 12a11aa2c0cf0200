#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "migration/plan.h"
#include "migration/source.h"
#include "settings/gate.h"
#include "tools/interrupt.h"
#include "tools/limits.h"
#include "tools/metrics.h"
#include "tools/notice.h"
#include "tools/open_machine.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/phase.h"
#include "tools/progress.h"
#include "tools/remedy.h"
#include "tools/security.h"
#include "tools/session.h"
#include "tools/verbs.h"
#include "transport/transport.h"

/* Another program has cut the mapped source file while it is sent: we cannot continue. */
static void on_sigbus(int number)
{
    static const char text[] = "ramjet send: the source file was cut or failed while it was read\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

/* --- the session ----------------------------------------------------------------------------- */

struct dispatch {
    const struct options *options;
    const struct runtime_parameters *live;
    struct limits limits;
    struct source *outgoing;
    const struct machine *machine;
    const char *dest;
};

static int run(void *arg, struct error *err)
{
    struct dispatch *d = arg;

    if (limits_start(&d->limits, d->options, d->outgoing, d->live, err) < 0)
        return -1;
    return limits_end(&d->limits, source_run(d->outgoing, err), err);
}

static void cancel(void *arg)
{
    const struct dispatch *d = arg;

    source_cancel(d->outgoing);
}

static void read_stats(void *arg, struct migration_snapshot *ret)
{
    const struct dispatch *d = arg;

    source_stats(d->outgoing, ret);
}

static const struct ram_map *ram(void *arg)
{
    const struct dispatch *d = arg;

    return &d->machine->ram;
}

static void note_status(void *arg, enum migration_status status)
{
    const struct dispatch *d = arg;

    session_phase(VERB_SEND, d->options, d->dest, status);
    detail_status(NULL, status);
}

static void note_pass(void *arg, uint64_t pass)
{
    struct dispatch *d = arg;

    limits_pass(&d->limits, pass);
    detail_pass(NULL, pass);
}

/* How a user of this program changes what would help: settings/advice.h. */
static void tell_advice(void *arg, const struct advice *advice)
{
    char text[ADVICE_TEXT_LEN];

    (void)arg;
    notice("%s", advice_text(advice, remedy_advice, text));
}

static const struct session_ops ops = {
    .verb = VERB_SEND,
    .run = run,
    .cancel = cancel,
    .stats = read_stats,
    .ram = ram,
};

static int send_machine(const struct source_config *config, struct machine *machine,
                        const struct options *options, struct error *err)
{
    struct dispatch d = {.options = options,
                         .live = &config->live,
                         .machine = machine,
                         .dest = config->connect.address.text};
    struct source_config observed = *config;

    observed.observer = (struct migration_observer){
        .status = note_status, .pass = note_pass, .advice = tell_advice, .arg = &d};
    if (source_new(&observed, machine, &d.outgoing, err) < 0)
        return -1;
    interrupt_block(); /* not earlier: opening a source may take long and needs no cleanup */
    int rc = metrics_open(options->metrics, "send", err);
    if (rc == 0)
        rc = session_run(&ops, &d, options, err);
    metrics_close();
    source_free(d.outgoing);
    return rc;
}

/* --- the command line ------------------------------------------------------------------------ */

static int check_uuid(const struct options *o, bool has_uuid, struct error *err)
{
    if (settings_explicit_capability(&o->settings, CAP_VALIDATE_UUID) &&
        settings_on(&o->settings, CAP_VALIDATE_UUID) && !has_uuid)
        return err_set(err, ERR_USAGE, "validate-uuid: the source has no UUID; give --uuid");
    return 0;
}

/* The user's options for the machine replace what the source says. */
static int override(struct machine *machine, const struct options *options, struct error *err)
{
    const struct settings *s = &options->settings;

    if (options->machine)
        strcpy(machine->config.machine, options->machine);
    if (options->has_uuid) {
        machine->config.uuid = options->uuid;
        machine->config.has_uuid = true;
    }
    if (!settings_explicit_capability(s, CAP_VALIDATE_UUID))
        return 0;
    if (check_uuid(options, machine->config.has_uuid, err) < 0)
        return -1;
    machine->config.has_uuid = settings_on(s, CAP_VALIDATE_UUID);
    return 0;
}

static void on_early_signal(void *arg)
{
    cancel_request(arg);
}

/* Nobody should wait until memory is filled, only to learn then that nothing listens. */
static int probe(const struct source_config *source, struct error *err)
{
    struct cancel stop;
    const struct transport_config config = {
        .connect_timeout_ms = source->connect.connect_timeout_ms,
        .cancel = &stop,
    };

    if (cancel_init(&stop, err) < 0)
        return -1;
    interrupt_block();
    int rc = interrupt_start(on_early_signal, &stop, err);
    if (rc == 0) {
        phase_set((struct phase_limit){config.connect_timeout_ms, "--connect-timeout"},
                  "looking for %s", source->connect.address.text);
        rc = transport_probe(&source->connect.address, &config, err);
        interrupt_stop();
        interrupt_unblock();
    }
    cancel_done(&stop);
    return rc;
}

static int make_machine(const char *spec, const struct options *options,
                        const struct source_config *config, struct machine **ret, struct error *err)
{
    bool fills;

    if (open_machine_check(spec, &fills, err) < 0)
        return -1;
    /* Memory that is made here has no UUID of its own. */
    if (fills && (check_uuid(options, options->has_uuid, err) < 0 || probe(config, err) < 0))
        return -1;
    return config->checksums ? open_machine(spec, ret, err)
                             : open_machine_unchecked(spec, ret, err);
}

/* Fills the engine's config from the options. */
static int configure(struct options *options, const char *dest, struct source_config *ret,
                     struct error *err)
{
    if (address_parse(dest, &ret->connect.address, err) < 0 ||
        output_is_apart(&ret->connect.address, err) < 0)
        return -1;
    if (options_start(options, AT_MIGRATE, gate_address_facts(&ret->connect.address), err) < 0)
        return err_in(err, "%s", dest);
    source_configure(&options->settings, ret);
    ret->checksums = options->checksums;
    detail_settings(&options->settings);
    ret->connect.engine = session_engine(options, ret->connect.zero_copy);
    ret->connect.connect_timeout_ms = options->connect_timeout_ms;
    ret->connect.stall_timeout_ms = options->stall_timeout_ms;
    ret->connect.answer_timeout_ms = options->answer_timeout_ms;
    return 0;
}

int verb_send(int argc, char **argv, struct error *err)
{
    struct source_config config;
    struct options options;
    struct tls_creds *tls = NULL;
    struct cpu_places *places = NULL;
    struct machine *machine = NULL;
    const char *args[2];
    size_t n;

    if (options_parse(VERB_SEND, argc, argv, &options, args, ARRAY_LEN(args), &n, err) < 0)
        return -1;
    if (n != 2)
        return err_set(err, ERR_USAGE, "expected SOURCE and DEST; see ramjet help send");
    phase_start("send", options.progress);
    source_config_init(&config);
    if (configure(&options, args[1], &config, err) < 0)
        return -1;
    signal(SIGBUS, on_sigbus);
    int rc = security_open(VERB_SEND, &options, &config.connect.address, &tls, err);
    if (rc == 0)
        rc = cpu_places_parse(options.places, &places, err);
    if (rc == 0)
        rc = make_machine(args[0], &options, &config, &machine, err);
    if (rc == 0)
        rc = override(machine, &options, err);
    if (rc == 0) {
        config.places = places;
        config.uuid = machine->config.uuid;
        config.connect.tls = tls;
        rc = send_machine(&config, machine, &options, err);
    }
    cpu_places_free(places);
    tls_creds_free(tls);
    machine_free(machine);
    return rc;
}
