#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "capture/target.h"
#include "migration/destination.h"
#include "migration/plan.h"
#include "settings/gate.h"
#include "tools/interrupt.h"
#include "tools/line.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/remedy.h"
#include "tools/security.h"
#include "tools/session.h"
#include "tools/verbs.h"

/* Helper threads only if cores are left idle by the channels and by a source on the same host. */
static unsigned populate_threads(void)
{
    cpu_set_t cpus;

    if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
        return 0;
    return (unsigned)CPU_COUNT(&cpus) / 4;
}

/* Checks that target.h does not make: options that the target does not support. */
static int check_target(const char *target, const struct target_config *config, struct error *err)
{
    if (config->sync && strcmp(target, "null:") == 0)
        return err_set(err, ERR_USAGE, "--sync: a target null: has nothing for a disk");
    if (config->direct && strncmp(target, "file:", 5) != 0)
        return err_set(err, ERR_USAGE, "direct-io: expected a target file:PATH, not '%.100s'",
                       target);
    return 0;
}

static int open_target(const char *target, const struct options *options, struct target **ret,
                       struct error *err)
{
    const char *colon = strchr(target, ':');
    struct target_config config = {
        .path = colon ? colon + 1 : "",
        .force = options->force,
        .sync = options->sync,
        .direct = settings_number(&options->settings, PARAM_DIRECT_IO),
    };

    if (check_target(target, &config, err) < 0)
        return -1;
    if (strncmp(target, "file:", 5) == 0)
        return target_file_new(&config, ret, err);
    if (strncmp(target, "raw:", 4) == 0)
        return target_raw_new(&config, ret, err);
    if (strcmp(target, "null:") == 0)
        return target_null_new(ret, err);
    return err_set(err, ERR_USAGE, "target '%.100s': expected file:PATH, raw:DIR or null:", target);
}

/* --- the session ----------------------------------------------------------------------------- */

struct reception {
    struct destination *incoming;
    const char *target; /* as the user wrote it */
};

static int run(void *arg, struct error *err)
{
    const struct reception *r = arg;

    if (destination_run(r->incoming, err) == 0)
        return 0;
    if (strcmp(r->target, "null:") != 0 && !destination_holds_guest(r->incoming))
        err_add(err, "; %.200s was not written", r->target);
    return -1;
}

static void cancel(void *arg)
{
    const struct reception *r = arg;

    destination_cancel(r->incoming);
}

static void read_stats(void *arg, struct migration_snapshot *ret)
{
    const struct reception *r = arg;

    destination_stats(r->incoming, ret);
}

static const struct ram_map *ram(void *arg)
{
    const struct reception *r = arg;

    return destination_ram(r->incoming);
}

static void tell_refused(void *arg, const struct error *why)
{
    char line[ERR_LINE_LEN];

    (void)arg;
    error_line(why, line);
    line_print(stderr, "ramjet recv: not let in: %s", line);
}

static const struct session_ops ops = {
    .verb = VERB_RECV,
    .run = run,
    .cancel = cancel,
    .stats = read_stats,
    .ram = ram,
};

/* Looking up a host's name may take long. */
static int listen_interruptibly(struct reception *r, struct error *err)
{
    if (interrupt_start(cancel, r, err) < 0)
        return -1;
    int rc = destination_listen(r->incoming, err);
    interrupt_stop();
    if (rc < 0)
        return -1;
    line_print(stdout, "listening %s", destination_address(r->incoming));
    return 0;
}

static int receive(const struct destination_config *config, struct target *to,
                   const struct options *options, const char *target, struct error *err)
{
    struct reception r = {.target = target};

    if (destination_new(config, to, &r.incoming, err) < 0)
        return -1;
    int rc = listen_interruptibly(&r, err);
    if (rc == 0)
        rc = session_run(&ops, &r, options, err);
    destination_free(r.incoming);
    return rc;
}

/* --- the command line ------------------------------------------------------------------------ */

/* A listening descriptor accepts many connections; a connected one is a single connection. */
static uint64_t address_facts(const struct address *at)
{
    int listening = 0;
    socklen_t len = sizeof(listening);

    if (getsockopt(at->fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening)
        return 0;
    return gate_address_facts(at);
}

/* Fills the engine's config from the options. */
static int configure(struct options *options, const char *listen, struct destination_config *ret,
                     struct error *err)
{
    if (address_parse(listen, &ret->connect.address, err) < 0 ||
        output_is_apart(&ret->connect.address, err) < 0)
        return -1;
    if (options_start(options, AT_INCOMING, address_facts(&ret->connect.address), err) < 0)
        return err_in(err, "%s", listen);
    ret->connect.engine = session_engine(&ops, options, false);
    ret->connect.connect_timeout_ms = options->connect_timeout_ms;
    ret->connect.stall_timeout_ms = options->stall_timeout_ms;
    ret->connect.answer_timeout_ms = options->answer_timeout_ms;
    destination_configure(&options->settings, ret);
    ret->machine = options->machine;
    ret->uuid = options->has_uuid ? &options->uuid : NULL;
    return 0;
}

int verb_recv(int argc, char **argv, struct error *err)
{
    struct destination_config config;
    struct options options;
    struct target *to = NULL;
    struct tls_creds *tls;
    struct cpu_places *places;
    const char *args[2];
    size_t n;

    if (options_parse(VERB_RECV, argc, argv, &options, args, ARRAY_LEN(args), &n, err) < 0)
        return -1;
    if (n != 2)
        return err_set(err, ERR_USAGE, "expected LISTEN and TARGET; see ramjet help recv");
    destination_config_init(&config);
    config.populate_threads = populate_threads();
    config.observer.refused = tell_refused;
    if (configure(&options, args[0], &config, err) < 0)
        return -1;
    if (security_open(VERB_RECV, &options, &config.connect.address, &tls, err) < 0)
        return -1;
    config.connect.tls = tls;
    int rc = cpu_places_parse(options.places, &places, err);
    config.places = places;
    interrupt_block(); /* from here on there is a target that may have to be removed */
    if (rc == 0)
        rc = open_target(args[1], &options, &to, err);
    if (rc == 0)
        rc = receive(&config, to, &options, args[1], err);
    target_free(to);
    cpu_places_free(places);
    tls_creds_free(tls);
    return rc;
}
