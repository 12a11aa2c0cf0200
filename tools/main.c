#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_memory.h"
#include "tools/line.h"
#include "tools/nearest.h"
#include "tools/notice.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/phase.h"
#include "tools/remedy.h"
#include "tools/result.h"
#include "tools/settings_report.h"
#include "tools/verbs.h"
#include "tools/wrap.h"

#define EXIT_FAILED    1
#define EXIT_USAGE     2
#define EXIT_CANCELLED 3
#define EXIT_REPORT    4 /* it was done, but the report is lost */

static const struct verb {
    const char *name, *synopsis, *summary, *help;
    enum verb_bit bit;
    int (*run)(int argc, char **argv, struct error *err);
} verbs[] = {
    {"recv", "[options] LISTEN [TARGET]",
     "take a migration: from ramjet send or a QEMU, 7.2 or later",
     "LISTEN: tcp:HOST:PORT (0: any port), unix:PATH, vsock:CID:PORT, fd:N; systemd:[NAME], "
     "sockets "
     "that a systemd unit hands over. The real address is the first line on standard output: "
     "listening tcp:HOST:PORT, or an event with --json.\n"
     "TARGET: file:PATH, a mapped-ram snapshot that QEMU loads; raw:DIR, a file per RAM block; "
     "folder:DIR, such a snapshot in a folder, named by time and VM; null:, memory that is checked "
     "and dropped.\n"
     "Channels, method and machine type are read from the connections; an option allows one "
     "only.\n"
     "With --dry-run and no TARGET it measures a live guest, which goes on at its source.\n",
     VERB_RECV, verb_recv},
    {"send", "[options] SOURCE DEST", "send one: into ramjet recv or a QEMU started with -incoming",
     "SOURCE: file:PATH[,offset=N], a mapped-ram snapshot; raw:DIR; image:[NAME=]PATH, any file as "
     "one RAM block; memory:[NAME=]PATH, the same, read into memory first; "
     "synth:SIZE[,zero=PCT][,random=PCT][,seed=N][,dirty=RATE], generated memory that is written "
     "at RATE while it is sent.\n"
     "DEST: tcp:HOST:PORT, unix:PATH, vsock:CID:PORT, fd:N; or file:PATH[,offset=N], with --set "
     "mapped-ram=on every page at its own place there.\n",
     VERB_SEND, verb_send},
    {"vm", "--guest NAME | --payload FILE | --incoming URI [options]",
     "run a guest under KVM that verifies its memory, and can be migrated",
     "NAME: counter walks its memory and increments a number in every page; dirtier writes at a "
     "rate and keeps a ledger of what every page must hold; idle waits. Each verifies its state.\n"
     "FILE is a program of your own. URI is where a guest comes in, by ramjet migrate or a "
     "monitor.\n"
     "It runs until SIGINT or SIGTERM, a monitor's quit, or for --run-for; the exit code is 0 when "
     "everything was right. Where there is no KVM its vCPUs are threads (--accel synth).\n",
     VERB_VM, verb_vm},
    {"migrate", "[options] FROM TO", "drive two running VMs (QEMUs, too) by their monitors",
     "FROM, TO: unix:PATH or tcp:HOST:PORT, where a VM's monitor speaks QMP; FROM also "
     "libvirt:DOMAIN. TO was started with "
     "-incoming defer, or listens already. Sets both sides alike, migrates, shows progress, and "
     "waits until the guest is at TO. SIGINT cancels: the guest stays at FROM.\n"
     "By default multifd, return-path and no limit of bandwidth are set; all other settings stay "
     "as the VMs have them.\n",
     VERB_MIGRATE, verb_migrate},
    {"save", "[options] MONITOR file:PATH", "save a running VM (a QEMU, too) by its monitor",
     "MONITOR: unix:PATH or tcp:HOST:PORT, where the VM's monitor speaks QMP; or libvirt:DOMAIN. "
     "The VM is set up, "
     "migrates into this program, which writes a mapped-ram snapshot, and gets back all settings; "
     "its guest runs on (--then). SIGINT cancels: the guest runs on, and there is no file.\n"
     "By default multifd, return-path and no limit of bandwidth are set meanwhile.\n",
     VERB_SAVE, verb_save},
    {"restore", "[options] file:PATH[,offset=N] MONITOR",
     "restore a snapshot into a VM that waits, by its monitor",
     "MONITOR: unix:PATH or tcp:HOST:PORT, where the VM's monitor speaks QMP. The VM was started "
     "with -incoming defer, or listens already. What it is, as far as it tells, is compared with "
     "the snapshot first.\n",
     VERB_RESTORE, verb_restore},
    {"info", "[options] FILE | raw:DIR", "what a snapshot holds",
     "Blocks, page counts, device sections, machine type. FILE: a mapped-ram snapshot, a plain "
     "stream, or either of them in a libvirt save file (virsh save), of which also the domain's "
     "name and state.\n",
     VERB_INFO, verb_info},
    {"convert", "[options] SOURCE TARGET", "make another kind of snapshot of one",
     "SOURCE: file:PATH[,offset=N], a mapped-ram snapshot, a plain stream, or a libvirt save file "
     "with either; raw:DIR.\n"
     "TARGET: file:PATH, a mapped-ram snapshot; stream:PATH, a plain stream; raw:DIR, a file per "
     "RAM block; libvirt-save:PATH and libvirt-sparse:PATH, for virsh restore, the latter by "
     "libvirt 11.3 or later.\n"
     "Holes stay holes, and device sections stay as they are. A target is whole or absent.\n",
     VERB_CONVERT, verb_convert},
    {"verify", "[options] FILE", "whether a snapshot is still as it was written",
     "FILE: a mapped-ram snapshot with checksums, as ramjet recv and send write it; or "
     "file:PATH[,offset=N]. All of it is read and compared; each damaged place is named. The exit "
     "code is 0 if it is whole, 1 if it is not, 2 if it has no checksums.\n",
     VERB_VERIFY, verb_verify},
    {"probe", "[options]", "what this host can do",
     "With --rules: the settings by QEMU's names, and the rules between them.\n", VERB_PROBE,
     verb_probe},
    {"qmp", "SOCKET COMMAND [KEY=VALUE...]", "ask a monitor (QEMU's, too), once",
     "SOCKET: unix:PATH or tcp:HOST:PORT, where a monitor speaks QMP; or libvirt:DOMAIN. The "
     "answer is printed as a "
     "line of JSON; a refusal goes to standard error: COMMAND: CLASS: description.\n"
     "VALUE: JSON (a number, true, false, null, \"text\", [...], {...}), or else a string. Dots in "
     "KEY go into objects: props.share=true. One word {...} is all arguments together.\n",
     VERB_QMP, verb_qmp},
    {"completion", "bash | zsh | fish", "print a script that lets a shell complete these words",
     "For this shell only: source <(ramjet completion bash). Installed with the program.\n",
     VERB_COMPLETION, verb_completion},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

void verbs_each(void (*each)(void *arg, const char *name, const char *summary, enum verb_bit bit),
                void *arg)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        each(arg, verbs[i].name, verbs[i].summary, verbs[i].bit);
}

/* The end of a line about a verb that does not exist. */
static const char *similar_verb(const char *name, char ret[static NEAREST_TEXT_LEN])
{
    struct nearest near;

    nearest_begin(&near, name, strlen(name));
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        nearest_offer(&near, verbs[i].name);
    nearest_offer(&near, "help");
    return nearest_text(&near, ret);
}

static void help(FILE *to)
{
    fprintf(to, "ramjet moves the memory of a running VM over many connections at once.\n\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        fprintf(to, "  ramjet %-10s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(
        to,
        "  ramjet %-10s %s\n\nExit codes: 0 done, 1 failed, 2 usage, 3 cancelled, 4 done, but the "
        "report is lost.\n",
        "help", "a verb's options: help VERB; settings by QEMU's names: help settings [NAME]");
}

static void help_verb(const struct verb *v, FILE *to)
{
    fprintf(to, "usage: ramjet %s %s\n%s.\n\n%s", v->name, v->synopsis, v->summary, v->help);
    fprintf(to, "\nOptions:\n");
    options_help(v->bit, to);
}

/* The table of settings is long and belongs to no single verb. */
static int help_settings(int argc, char **argv, FILE *to)
{
    char hint[NEAREST_TEXT_LEN];

    if (argc == 0) {
        settings_print(to);
        return 0;
    }
    if (settings_print_one(argv[0], to) == 0 || settings_print_like(argv[0], to) > 0)
        return 0;
    line_print(stderr, "ramjet help settings: no setting '%s'%s", argv[0],
               nearest_setting(argv[0], hint));
    return EXIT_USAGE;
}

static int show_help(int argc, char **argv, FILE *to)
{
    char hint[NEAREST_TEXT_LEN];

    if (argc > 0 && strcmp(argv[0], "settings") == 0)
        return help_settings(argc - 1, argv + 1, to);
    const struct verb *v = argc > 0 ? find_verb(argv[0]) : NULL;

    if (argc > 0 && !v) {
        line_print(stderr, "ramjet help: no verb '%s'%s", argv[0], similar_verb(argv[0], hint));
        return EXIT_USAGE;
    }
    if (v)
        help_verb(v, to);
    else
        help(to);
    return 0;
}

static int run_help(int argc, char **argv)
{
    struct wrap wrap;
    int code = show_help(argc, argv, wrap_begin(&wrap, stdout));

    wrap_end(&wrap);
    return code;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static void print_error(const char *verb, const struct error *err)
{
    char line[ERR_LINE_LEN];

    error_line(err, line);
    fprintf(stderr, "ramjet %s: %s\n", verb, line);
}

static int exit_code(const struct error *err)
{
    switch (err->kind) {
    case ERR_USAGE:
        return EXIT_USAGE;
    case ERR_CANCELLED:
        return EXIT_CANCELLED;
    case ERR_REPORT:
        return EXIT_REPORT;
    default:
        return EXIT_FAILED;
    }
}

/* argv[-1] is the verb. A mistake in the words is a failure, too: so --json is looked for first. */
static int run_verb(const struct verb *v, int argc, char **argv)
{
    struct error err;
    bool json = false;

    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (asks_for_help(argv[i]))
            return run_help(1, argv - 1);
        json |= strcmp(argv[i], "--json") == 0;
    }
    notice_begin(v->name);
    result_begin(json);
    int rc = v->run(argc, argv, &err);
    phase_stop();
    if (rc == 0)
        return 0;
    result_print_failure(&err);
    print_error(v->name, &err);
    return exit_code(&err);
}

/*
 * A program that is started without a standard descriptor would open another file under its number
 * and write its messages into that: a snapshot, a guest's memory, the stream. So each closed number
 * is filled before anything else is opened. Reading or writing it fails with EBADF, as if it were
 * still closed: output that is lost must not look as if it had been written.
 */
static int fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH) != fd)
            return -1;
    }
    return 0;
}

/* The call that raises one fails, too: then we report the error and clean up. */
static void ignore_deadly_signals(void)
{
    signal(SIGPIPE, SIG_IGN); /* a reader of our output has gone away */
    signal(SIGXFSZ, SIG_IGN); /* a file would be longer than RLIMIT_FSIZE allows */
    signal(SIGUSR1, SIG_IGN); /* asks for the state: before there is one, it means nothing */
}

static int run(int argc, char **argv)
{
    char hint[NEAREST_TEXT_LEN];

    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || asks_for_help(argv[1]))
        return run_help(argc - 2, argv + 2);
    if (strcmp(argv[1], "--version") == 0) {
        puts("ramjet " RAMJET_VERSION RAMJET_BUILD);
        return 0;
    }
    const struct verb *v = find_verb(argv[1]);
    if (!v) {
        similar_verb(argv[1], hint);
        line_print(stderr, "ramjet: no verb '%s'%s", argv[1], hint[0] ? hint : "; see ramjet help");
        return EXIT_USAGE;
    }
    return run_verb(v, argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
    struct error err;

    if (fill_standard_descriptors() < 0)
        return EXIT_FAILED; /* there is nowhere to report it */
    ignore_deadly_signals();
    json_memory_watch();
    int code = run(argc, argv);
    if (code == 0 && output_close(&err) < 0) {
        print_error(argv[1], &err);
        code = exit_code(&err);
    }
    return code;
}
