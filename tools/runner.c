#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/libvirt_save.h"
#include "capture/target.h"
#include "control/migrate_commands.h"
#include "control/qmp_event.h"
#include "control/vm_commands.h"
#include "control/vm_incoming.h"
#include "control/vm_migrate.h"
#include "tools/cpr.h"
#include "tools/guest_commands.h"
#include "tools/guest_lines.h"
#include "tools/interrupt.h"
#include "tools/machine_commands.h"
#include "tools/memory_commands.h"
#include "tools/metrics.h"
#include "tools/notice.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/phase.h"
#include "tools/remedy.h"
#include "tools/result.h"
#include "tools/verbs.h"
#include "tools/vm_memory.h"
#include "tools/vm_report.h"
#include "vmm/machine_kvm.h"
#include "vmm/machine_synth_guest.h"

struct runner {
    const struct options *options;
    struct machine *machine;
    struct guest_report *report;
    struct cpr cpr; /* how its memory was handed over */
    struct vm *vm;
    struct guest_commands commands;
    struct machine_commands about_machine;
    struct memory_commands memory;
    struct qmp_table tables[6]; /* the monitor's commands; they must live as long as it */
    struct qmp_registry registry;
    struct qmp_server *server; /* NULL: no monitor */
    struct cancel cancel;      /* a signal has come */
    /* Whether the incoming migration failed, and why. Written before the report is interrupted. */
    bool has_failed;
    struct error failure;
    struct guest_lines serial;
};

/* Another program has cut a file that guest memory is mapped from: we cannot continue. */
static void on_sigbus(int number)
{
    static const char text[] =
        "ramjet vm: guest memory cannot be read: was the file that it comes from cut?\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

/* --- a guest that comes in ------------------------------------------------------------------- */

/* Refuses memory that an earlier migration has begun to fill. */
static int land(void *arg, const struct ram_set_rules *ram, struct target **ret, struct error *err)
{
    struct runner *r = arg;
    struct ram_set_rules here = *ram;

    if (r->machine->filled)
        return err_set(err, ERR_USAGE,
                       "a migration into this VM has failed: end it and start another");
    here.mode = r->cpr.mode; /* the parameter `mode` is for outgoing migrations */
    return target_machine_new(r->machine, &here, ret, err);
}

static int read_incoming(const struct options *o, struct address *ret, bool *ret_there,
                         struct error *err)
{
    *ret_there = o->incoming && strcmp(o->incoming, "defer") != 0;
    if (*ret_there && (address_parse(o->incoming, ret, err) < 0 || output_is_apart(ret, err) < 0 ||
                       libvirt_save_locate(ret, err) < 0))
        return err_in(err, "--incoming");
    return 0;
}

/* The guest runs or is paused as when it was saved, or as the user says here. */
static int load_guest(struct runner *r, const struct address *from, struct error *err)
{
    if (vm_incoming(r->vm, from, 0, true, 0, err) < 0)
        return err_in(err, "--incoming");
    return vm_incoming_wait(r->vm, err);
}

static int listen_for_guest(struct runner *r, const struct address *at, struct error *err)
{
    char address[VM_ADDRESS_LEN];

    if (vm_incoming(r->vm, at, 0, true, 0, err) < 0)
        return err_in(err, "--incoming");
    cpr_listening(&r->cpr);
    vm_listening(r->vm, address);
    result_event(r->options, "listening", json_pack("{s:o}", "address", result_text(address)),
                 "listening %s", address);
    return 0;
}

/* --- monitors -------------------------------------------------------------------------------- */

static int serve(struct runner *r, struct error *err)
{
    const struct options *o = r->options;
    const struct transport_config transport = {.connect_timeout_ms = o->connect_timeout_ms,
                                               .cancel = &r->cancel};

    if (o->n_monitors == 0)
        return 0;
    r->tables[0] = vm_commands(r->vm);
    r->tables[1] = dirty_rate_commands(r->vm);
    r->tables[2] = migrate_commands(r->vm);
    r->tables[3] = guest_commands(&r->commands);
    r->tables[4] = memory_commands(&r->memory);
    r->tables[5] = machine_commands(&r->about_machine);
    r->registry = (struct qmp_registry){r->tables, ARRAY_LEN(r->tables),
                                        "ramjet " RAMJET_VERSION RAMJET_BUILD};
    if (qmp_server_new(&r->registry, &r->server, err) < 0)
        return -1;
    for (size_t i = 0; i < o->n_monitors; i++) {
        if (qmp_server_listen(r->server, &o->monitors[i], &transport, err) < 0)
            return err_in(err, "--qmp");
        const char *address = qmp_server_address(r->server, i);

        result_event(o, "monitor", json_pack("{s:o}", "address", result_text(address)),
                     "monitor %s", address);
    }
    vm_set_events(r->vm, qmp_event_send, r->server);
    return qmp_server_start(r->server, err);
}

/* --- its life -------------------------------------------------------------------------------- */

static void on_over(void *arg, const struct error *failure)
{
    struct runner *r = arg;

    if (failure) {
        r->failure = *failure;
        r->has_failed = true;
    }
    guest_report_interrupt(r->report);
}

static void on_undecided(void *arg, const struct error *why)
{
    char line[ERR_LINE_LEN];

    (void)arg;
    error_line(why, line);
    fprintf(stderr, "ramjet vm: %s\n", line);
}

static void on_notice(void *arg, const char *text)
{
    (void)arg;
    notice("%s", text);
}

static int replace(void *arg, const char *command, struct error *err)
{
    struct runner *r = arg;

    qmp_server_flush(r->server);
    if (vm_is_quitting(r->vm)) /* quit came after the engine had looked */
        return err_set(err, ERR_CANCELLED, "cancelled");
    guest_lines_end(&r->serial);
    memory_backends_deactivate(r->memory.backends);
    int rc = cpr_exec(command, &r->machine->ram, err);
    memory_backends_activate(r->memory.backends);
    return rc;
}

static void on_signal(void *arg)
{
    struct runner *r = arg;

    cancel_request(&r->cancel);
    vm_quit(r->vm, SHUTDOWN_SIGNAL);
}

/* One line, for SIGUSR1. */
static void tell(void *arg)
{
    const struct runner *r = arg;
    bool running;
    enum run_status state = vm_run_status(r->vm, &running);

    vm_report_tell(r->report, run_status_name(state));
}

/* A quit or a signal has given its own reason before, and the first one counts. */
static enum shutdown_reason end_reason(const struct runner *r)
{
    struct error ignored;
    uint64_t code;

    if (r->has_failed)
        return SHUTDOWN_ERROR;
    if (guest_report_failure(r->report, &ignored) < 0)
        return SHUTDOWN_GUEST_PANIC;
    return guest_report_ended(r->report, &code) ? SHUTDOWN_GUEST : SHUTDOWN_SIGNAL;
}

/* Waits until quit, a signal, the end of --run-for, or the guest's own end. */
static void await_end(struct runner *r)
{
    uint64_t deadline = deadline_in_ms(r->options->run_for_ms);

    /* A user's own payload may never say anything, so it is not waited for. */
    if (guest_report_wait(r->report, r->options->payload ? 0 : 1, 0, deadline)) {
        vm_report_running(r->options, r->machine->ram.blocks[0].used_bytes);
        guest_report_wait(r->report, UINT64_MAX, 0, deadline);
    }
    vm_quit(r->vm, end_reason(r));
}

static int start(struct runner *r, struct error *err)
{
    struct address from;
    bool comes;

    if (vm_set(r->vm, &r->options->settings, err) < 0 ||
        read_incoming(r->options, &from, &comes, err) < 0)
        return -1;
    bool loads = comes && from.scheme == ADDRESS_FILE;
    vm_start(r->vm, r->options->paused);
    /* Loaded before the monitor starts: its clients then find the guest from the file. */
    if (loads)
        phase_set(PHASE_UNLIMITED, "reading the guest from %s", from.text);
    if ((loads && load_guest(r, &from, err) < 0) || serve(r, err) < 0)
        return -1;
    phase_clear();
    return comes && !loads ? listen_for_guest(r, &from, err) : 0;
}

static int live(struct runner *r, struct error *err)
{
    interrupt_tell(tell, r);
    if (interrupt_start(on_signal, r, err) < 0)
        return -1;
    int rc = start(r, err);
    if (rc == 0)
        await_end(r);
    interrupt_stop();
    return rc;
}

static int print_report(struct runner *r, bool running, const struct error *failure,
                        struct error *err)
{
    if (r->options->json)
        return result_print(vm_report_json(r->report, running), failure, err);
    vm_report_print(r->report);
    return output_flush(err);
}

static int verdict(struct runner *r, bool running, struct error *err)
{
    struct error print_err;
    int rc = vm_report_judge(r->report, err);
    bool printed = print_report(r, running, rc < 0 ? err : NULL, &print_err) == 0;

    if (rc < 0)
        return -1;
    if (printed)
        return 0;
    *err = print_err;
    return output_lost(err, "the guest has found no error");
}

static void tell_refused(void *arg, const struct error *why)
{
    char line[ERR_LINE_LEN];

    (void)arg;
    error_line(why, line);
    notice("not let in: %s", line);
}

static void on_migrated(void *arg, enum migration_status status)
{
    (void)arg;
    metrics_ended(status);
}

static void read_migration(void *arg, struct migration_snapshot *ret)
{
    const struct runner *r = arg;
    struct vm_migration m;

    vm_migration(r->vm, &m);
    *ret = m.now;
    ret->status = m.status;
    if (!m.outgoing)
        ret->expected_downtime_ms = UINT64_MAX;
}

/* A monitor's client started it, so the settings have a monitor's names. */
static void tell_advice(void *arg, const struct advice *advice)
{
    char text[ADVICE_TEXT_LEN];

    (void)arg;
    notice("migration: %s", advice_text(advice, advice_settings, text));
}

static int make_vm(struct runner *r, struct error *err)
{
    const struct options *o = r->options;
    const struct vm_config config = {
        .name = o->name,
        .uuid = o->has_uuid ? &o->uuid : NULL,
        .machine = r->machine,
        .waiting = o->incoming != NULL,
        .land = land,
        .replace = replace,
        .notice = on_notice,
        .open_capabilities = r->cpr.mode == MODE_NORMAL ? 0 : STREAM_CAP_X_IGNORE_SHARED,
        .host_facts = r->machine->ops->limit_dirty ? 0 : IN_SET(FACT_NO_DIRTY_RING),
        .connect_timeout_ms = o->connect_timeout_ms,
        .stall_timeout_ms = o->stall_timeout_ms,
        .answer_timeout_ms = o->answer_timeout_ms,
        .without_checksums = o->checksums == OFF,
        .attended = o->n_monitors > 0,
        .over = on_over,
        .undecided = on_undecided,
        .refused = tell_refused,
        .migrated = on_migrated,
        .advice = tell_advice,
        .arg = r,
    };

    if (vm_new(&config, &r->vm, err) < 0)
        return -1;
    r->commands = (struct guest_commands){.vm = r->vm, .report = r->report};
    r->memory.vm = r->vm;
    r->about_machine.vm = r->vm;
    r->about_machine.cpus = o->cpus;
    return 0;
}

static int live_with_metrics(struct runner *r, struct error *err)
{
    if (metrics_open(r->options->metrics, "vm", err) < 0)
        return -1;
    metrics_watch(read_migration, r);
    int rc = live(r, err);
    metrics_unwatch(true);
    return rc;
}

static int run(struct runner *r, struct error *err)
{
    struct error ignored;

    if (make_vm(r, err) < 0)
        return -1;
    int rc = live_with_metrics(r, err);
    bool running = guest_report_failure(r->report, &ignored) == 0;
    qmp_server_stop(r->server);
    vm_set_events(r->vm, NULL, NULL);
    vm_free(r->vm);
    metrics_close();
    qmp_server_free(r->server);
    if (rc == 0)
        rc = machine_stop(r->machine, MACHINE_PAUSED, err);
    if (rc == 0 && r->has_failed) {
        *err = r->failure;
        return -1;
    }
    return rc < 0 ? -1 : verdict(r, running, err);
}

/* --- the command line ------------------------------------------------------------------------ */

static int check(const struct options *o, struct error *err)
{
    if (!o->guest + !o->payload + !o->incoming != 2)
        return err_set(err, ERR_USAGE,
                       "expected one of --guest NAME, --payload FILE and --incoming; with the last "
                       "the guest comes by a migration; see ramjet help vm");
    if (o->cpr && (!o->incoming || strcmp(o->incoming, "defer") == 0 ||
                   strncmp(o->incoming, "file:", strlen("file:")) == 0))
        return err_set(err, ERR_USAGE,
                       "--cpr: expected also --incoming with an address to listen at");
    if (o->machine && strncmp(o->machine, "ramjet-", strlen("ramjet-")) != 0)
        return err_set(err, ERR_USAGE, "--machine %.40s: expected ramjet-1.0", o->machine);
    return 0;
}

/* A user's own payload needs KVM: without KVM it fails with that as the error. */
static bool use_kvm(const struct runner *r)
{
    const struct options *o = r->options;
    struct error why;

    if (o->accel != ACCEL_BEST)
        return o->accel == ACCEL_KVM;
    if (r->cpr.mode == MODE_CPR_EXEC) /* its guest is paused, and ran here before */
        return machine_kvm_present();
    if (o->payload || machine_kvm_usable(&why) == 0)
        return true;
    notice("no KVM here (%s): the guest runs as threads of this program (--accel synth)", why.text);
    return false;
}

/* Takes memory over from the program that this process ran before, or from another process. */
static int take_memory(struct runner *r, const struct options *o, struct error *err)
{
    if (cpr_inherit(&r->cpr, err) < 0)
        return -1;
    if (r->cpr.mode == MODE_CPR_EXEC && (!o->incoming || o->cpr))
        return err_set(err, ERR_USAGE,
                       CPR_ENVIRONMENT ": memory was handed over to this program: expected "
                                       "--incoming file:PATH, and no --cpr");
    return o->cpr ? cpr_await(o->cpr, o->stall_timeout_ms, &r->cpr, err) : 0;
}

static int make_machine(struct runner *r, const struct vm_memory *memory, struct error *err)
{
    const struct options *o = r->options;
    const struct machine_guest_config config = {
        .guest = o->guest,
        .payload = o->payload,
        .serial_sink = guest_lines_put,
        .serial_arg = &r->serial,
        .bytes = memory->main.bytes,
        .cpus = o->cpus,
        .incoming = o->incoming != NULL,
        /* The memory of the guest that comes is in the source's own files. */
        .keep_files = o->incoming && settings_on(&o->settings, CAP_X_IGNORE_SHARED),
        .eager = o->eager,
        .backing = memory_backend_backing(&memory->main),
        .more = memory->more,
        .n_more = memory->n_more,
        .handed = r->cpr.mode == MODE_NORMAL ? NULL : &r->cpr.state,
        .dirty = o->dirty,
        .dirty_ring = o->dirty_ring,
    };
    r->about_machine.kvm = use_kvm(r);
    int rc = r->about_machine.kvm ? machine_kvm_new(&config, &r->machine, err)
                                  : machine_synth_guest_new(&config, &r->machine, err);

    if (rc < 0 || cpr_all_taken(&r->cpr, err) < 0)
        return -1;
    r->report = machine_guest_report(r->machine);
    if (o->machine)
        strcpy(r->machine->config.machine, o->machine);
    return 0;
}

int verb_vm(int argc, char **argv, struct error *err)
{
    struct options options;
    struct runner r = {.options = &options, .cpr = CPR_NONE, .cancel = {.fd = -1}};
    struct vm_memory memory;
    size_t n;

    if (options_parse(VERB_VM, argc, argv, &options, NULL, 0, &n, err) < 0 ||
        check(&options, err) < 0 || memory_backends_new(&r.memory.backends, err) < 0)
        return -1;
    phase_start("vm", PROGRESS_AUTO);
    interrupt_block();
    signal(SIGBUS, on_sigbus);
    int rc = take_memory(&r, &options, err);
    if (rc == 0)
        rc = vm_memory_read(&options, r.memory.backends, &memory, err);
    if (rc == 0)
        rc = make_machine(&r, &memory, err);
    if (rc == 0)
        rc = cancel_init(&r.cancel, err);
    if (rc == 0)
        rc = run(&r, err);
    cancel_done(&r.cancel);
    machine_free(r.machine);
    guest_lines_end(&r.serial);
    cpr_done(&r.cpr);
    memory_backends_free(r.memory.backends);
    return rc;
}
