/*
 * tools/options.h: every option of every verb: one table gives parsing, checks and help.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/uuid.h"
#include "drive/drive_restore.h"
#include "drive/drive_save.h"
#include "settings/settings.h"
#include "tools/own_settings.h"
#include "transport/address.h"
#include "transport/engine.h"
#include "vmm/dirty_kind.h"
#include "vmm/memory_backend.h"

enum verb_bit {
    VERB_RECV = 1 << 0,
    VERB_SEND = 1 << 1,
    VERB_INFO = 1 << 2,
    VERB_PROBE = 1 << 3,
    VERB_QMP = 1 << 4,
    VERB_VM = 1 << 5,
    VERB_MIGRATE = 1 << 6,
    VERB_CONVERT = 1 << 7,
    VERB_SAVE = 1 << 10,
    VERB_RESTORE = 1 << 11,
    VERB_VERIFY = 1 << 12,
    VERB_COMPLETION = 1 << 20,
};

#define QMP_MONITORS_MAX 8 /* as many as a monitor serves */

/* What runs a guest's vCPUs. ACCEL_BEST: KVM, or our own threads where there is no KVM. */
enum accel { ACCEL_BEST, ACCEL_KVM, ACCEL_SYNTH };

/* With --json, the form of the lines before the result. */
enum events_form { EVENTS_JSON, EVENTS_TEXT };
enum on_off { OFF, ON };

/* Who writes or reads a snapshot's file. */
enum by { BY_RAMJET, BY_VM };
/* What happens to a migration at its limit of time or rounds. */
enum at_limit { AT_LIMIT_CANCEL, AT_LIMIT_SWITCH };

enum progress_mode { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER, PROGRESS_JSON };

struct options {
    /* QEMU's settings: what the user set, over the defaults of this program; the gate has allowed
     * them. --channels, --compress and others are short forms of some. */
    struct settings settings;
    const char *tls_psk;      /* a file of PSKs; NULL: not said */
    const char *tls_username; /* whose PSK; NULL: not said */
    const struct engine *engine;
    uint64_t connect_timeout_ms, stall_timeout_ms, answer_timeout_ms;
    const char *places;  /* where channel threads run, CPU_PLACES_SYNTAX */
    const char *machine; /* NULL: not said */
    struct uuid uuid;
    bool has_uuid;
    bool json, force, digest;
    bool dry_run;             /* recv: only measure */
    uint64_t source_limit_ms; /* with dry_run: the source's downtime limit */
    bool source_limit_said;
    bool quiet, verbose;
    enum events_form events;
    bool sync;            /* recv: the target is on the disk at the end */
    const char *metrics;  /* recv, send, vm, migrate: where they are served; NULL: not said */
    bool repeat;          /* recv: one migration after the other … */
    unsigned repeat_most; /* … as many as these; 0: for ever */
    bool rules;           /* probe: of the gate instead of the host */
    uint64_t timeout_ms;  /* qmp: for the whole exchange; 0: for ever */
    bool pretty;          /* qmp: the answer over many lines */
    bool xml;             /* info: of a libvirt save file */
    /* send, migrate */
    struct {
        uint64_t after_ms; /* 0: never */
        unsigned rounds;   /* 0: never */
        enum at_limit what;
    } limits;
    bool direct;           /* verify: what is on the disk, not in the page cache */
    enum on_off checksums; /* of a file: written, and compared with what is read */
    /* migrate; NULL: not said */
    const char *listen_host, *uri;
    const char *tls_creds_from, *tls_creds_to; /* for one end; instead of the setting tls-creds */
    /* save, restore */
    enum by by;
    enum save_then save_then;
    enum restore_then restore_then;
    /* vm */
    const char *name, *guest; /* NULL: not said */
    const char *payload;      /* NULL: not said */
    enum accel accel;
    const char *incoming; /* "defer", a URI, or file:PATH; NULL: not said */
    const char *cpr;      /* where its memory is handed over; NULL: not said */
    bool paused, eager;
    /* convert */
    const char *xml_file; /* NULL: not said */
    unsigned threads;     /* 0: not said */
    struct address monitors[QMP_MONITORS_MAX];
    size_t n_monitors;
    uint64_t memory_bytes, run_for_ms;
    unsigned cpus;
    struct memory_backing_config backing;
    bool memory_said;                          /* --memory, --backend or --numa was given */
    const char *backends[MEMORY_BACKENDS_MAX]; /* each a MEMORY_BACKEND_SYNTAX */
    size_t n_backends;
    enum dirty_kind dirty;
    bool dirty_said;
    unsigned dirty_ring; /* entries; 0: not said */
    enum progress_mode progress;
};

/*
 * Reads the words after the verb. Words that are not options go to args[], at most `max_args`; "--"
 * ends the options. Settings are checked as a whole after the last word, so their order does not
 * matter. Fails with ERR_USAGE.
 */
MUST_USE int options_parse(enum verb_bit verb, int argc, char **argv, struct options *ret,
                           const char **args, size_t max_args, size_t *ret_n_args,
                           struct error *err);
/*
 * Checks that a migration may start, AT_MIGRATE or AT_INCOMING, at an address with these facts: by
 * the rules about addresses, and by what this build does not support yet. If multifd is only a
 * default, an address with room for a single stream switches it off.
 */
MUST_USE int options_start(struct options *o, enum moment moment, uint64_t address_facts,
                           struct error *err);

/* The options of a verb, a line each. */
void options_help(enum verb_bit verb, FILE *to);

/* What a shell has to know of an option to complete it. */
struct option_shape {
    const char *name, *help;
    const char *value;        /* NULL: it takes none */
    const char *const *names; /* that it may have, up to option_names_end; NULL: others */
    bool sets;                /* it takes a setting's name, and then its value */
};

/* Calls each() for every option of a verb that is not refused there. */
void options_each(enum verb_bit verb, void (*each)(void *arg, const struct option_shape *o),
                  void *arg);
