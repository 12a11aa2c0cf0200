#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "migration/outgoing.h"
#include "tools/interrupt.h"
#include "tools/options.h"
#include "tools/session.h"
#include "tools/source.h"
#include "tools/verbs.h"

#define DEFAULT_CHANNELS 2

/* A mapped file that somebody cuts while it is sent: there is nothing to go on with. */
static void on_sigbus(int number)
{
    static const char text[] = "ramjet send: the source file was cut or failed while it was read\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

/* --- the session ----------------------------------------------------------------------------- */

struct dispatch {
    struct outgoing *outgoing;
    const struct machine *machine;
};

static int run(void *arg, struct error *err)
{
    const struct dispatch *d = arg;

    return outgoing_run(d->outgoing, err);
}

static void cancel(void *arg)
{
    const struct dispatch *d = arg;

    outgoing_cancel(d->outgoing);
}

static void read_stats(void *arg, struct migration_snapshot *ret)
{
    const struct dispatch *d = arg;

    outgoing_stats(d->outgoing, ret);
}

static const struct ram_map *ram(void *arg)
{
    const struct dispatch *d = arg;

    return &d->machine->ram;
}

static const struct session_ops ops = {
    .verb = VERB_SEND,
    .run = run,
    .cancel = cancel,
    .stats = read_stats,
    .ram = ram,
};

static int send_machine(const struct outgoing_config *config, struct machine *machine,
                        const struct options *options, struct error *err)
{
    struct dispatch d = {.machine = machine};

    if (outgoing_new(config, machine, &d.outgoing, err) < 0)
        return -1;
    interrupt_block(); /* not before: opening a source leaves nothing behind, and may take long */
    int rc = session_run(&ops, &d, options, err);
    outgoing_free(d.outgoing);
    return rc;
}

/* --- the command line ------------------------------------------------------------------------ */

/* What the user says of the machine stands over what the source says. */
static void override(struct machine *machine, const struct options *options)
{
    if (options->machine)
        strcpy(machine->config.machine, options->machine);
    if (options->has_uuid) {
        machine->config.uuid = options->uuid;
        machine->config.has_uuid = true;
    }
}

int verb_send(int argc, char **argv, struct error *err)
{
    struct outgoing_config config = {0};
    struct options options;
    struct machine *machine;
    const char *args[2];
    size_t n;

    if (options_parse(VERB_SEND, argc, argv, &options, args, ARRAY_LEN(args), &n, err) < 0)
        return -1;
    if (n != 2)
        return err_set(err, ERR_USAGE, "expected SOURCE and DEST; see ramjet help send");
    if (address_parse(args[1], &config.connect.address, err) < 0)
        return -1;
    bool many = transport_many(&config.connect.address);
    config.connect.engine = options.engine;
    config.connect.connect_timeout_ms = options.connect_timeout_ms;
    config.connect.stall_timeout_ms = options.stall_timeout_ms;
    config.n_channels = options.channels >= 0 ? (unsigned)options.channels
                        : many                ? DEFAULT_CHANNELS
                                              : 0;
    config.method = options.method < 0 ? CODEC_NONE : (enum codec_method)options.method;
    config.level = options.level;
    config.return_path = options.return_path;
    config.max_bytes_per_s = options.max_bytes_per_s;
    config.downtime_limit_ms = options.downtime_limit_ms;
    signal(SIGBUS, on_sigbus);
    if (source_open(args[0], &machine, err) < 0)
        return -1;
    override(machine, &options);
    config.uuid = machine->config.uuid;
    int rc = send_machine(&config, machine, &options, err);
    machine_free(machine);
    return rc;
}
