/*
 * migration/plan.h: what a migration is to be. A caller says what it wants in a config, directly or
 * from settings. The plan holds every choice that follows, made once and read-only from then on.
 * The engine asks the plan what a choice means, and not what the user has set.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cpus.h"
#include "base/uuid.h"
#include "compress/codec.h"
#include "migration/connect.h"
#include "migration/converge.h"
#include "migration/observer.h"
#include "migration/ram_set.h"
#include "migration/runtime_parameters.h"
#include "ram/ram_save.h"
#include "settings/settings.h"

struct measurement;

/* --- what a caller wants --------------------------------------------------------------------- */

struct source_config {
    struct connect_config connect;
    unsigned n_channels; /* 0 … 255; 0: main's thread sends the pages */
    enum codec_method method;
    int level;                       /* of the method */
    bool mapped_ram;                 /* write into a file, every page at its own place */
    bool direct_io;                  /* write the pages past the page cache */
    bool checksums;                  /* with mapped_ram: a table of checksums follows the stream */
    struct ram_set_rules ram;        /* which blocks travel */
    bool return_path;                /* ask the destination for its verdict, and wait for it */
    bool switchover_ack;             /* stop the guest only when the destination is ready */
    bool pause_before_switchover;    /* after the stop, wait for source_continue() */
    bool auto_converge;              /* take time from a guest that writes too fast */
    bool dirty_limit;                /* limit what each of its vCPUs writes; not with the above */
    const struct cpu_places *places; /* where the channels' threads run; NULL: anywhere */
    struct runtime_parameters live;
    bool stop_first; /* the guest is stopped from the start */
    bool hand_over;  /* hand its memory over at `cpr`, before anything else */
    struct address cpr;
    /*
     * Everything is in the file, and the guest is stopped: starts another program in this one's
     * place. It does not return, or it fails, and then the migration fails. NULL: there is no such
     * step.
     */
    int (*replace)(void *arg, struct error *err);
    void *replace_arg;
    struct uuid uuid; /* of the VM, for the channels' hellos */
    struct migration_observer observer;
};

struct destination_config {
    struct connect_config connect;   /* the address is where to listen, or the file to read */
    int n_channels;                  /* required, 0 … 255; -1: as many as connect */
    const struct cpu_places *places; /* where the channels' threads run; NULL: anywhere */
    int method;                      /* required, enum codec_method; -1: as the packets say */
    uint32_t capabilities;      /* STREAM_CAP_… that the source must have on, and no others … */
    uint32_t open_capabilities; /* … except these, which the source may choose */
    /* Capability switchover-ack: send the ack even if the dialect does not send it unasked. */
    bool switchover_ack;
    const char *machine;                /* required: the full versioned name; NULL: any */
    const struct uuid *uuid;            /* required; NULL: any */
    bool uuid_may_lack;                 /* also take a stream that names none, as QEMU does */
    bool main_any_time;                 /* wait for the source without a limit */
    unsigned file_threads;              /* threads that read a mapped-ram file's pages; 0 means 1 */
    bool direct_io;                     /* they read past the page cache; nothing is mapped then */
    struct measurement *measurement;    /* only measure, and refuse at the switch-over; or NULL */
    bool checksums;                     /* a file's checksums are compared with what is read */
    unsigned populate_threads;          /* helper threads that allocate memory ahead; 0: none */
    struct migration_observer observer; /* told of setup, active, the guest, and the result */
};

/* Sets a source's defaults; the address is still missing then. Every default is decided here, in
 * connect_config_init(), or in the tables of capabilities and parameters. */
void source_config_init(struct source_config *ret);
/* Sets a destination's defaults: it takes whatever comes. */
void destination_config_init(struct destination_config *ret);

/* --- from settings, which the gate has let in: gate.h ---------------------------------------- */

/* The rules for which RAM blocks travel, for either end. */
void ram_set_rules_of(const struct settings *s, struct ram_set_rules *ret);
/* The capabilities that both ends must have on alike: STREAM_CAP_…. */
uint32_t stream_capabilities_of(const struct settings *s);
void runtime_parameters_of(const struct settings *s, struct runtime_parameters *ret);
/* Copies all that the settings say. Address, engine, TLS, timeouts, UUID and observer are the
 * caller's: they stay as they were. */
void source_configure(const struct settings *s, struct source_config *ret);
/* The same for a destination. Channels and method that were not set are taken as they come. */
void destination_configure(const struct settings *s, struct destination_config *ret);

/* --- what follows ---------------------------------------------------------------------------- */

/* How pages travel. link_connect.c has a row for each. */
enum plan_pages {
    PAGES_ON_MAIN,     /* records in the main stream */
    PAGES_ON_CHANNELS, /* packets on multifd channels */
    PAGES_IN_PLACE,    /* each at its own place in a file */
    PLAN_PAGES_N,
};

struct plan {
    enum plan_pages pages;
    unsigned n_workers;    /* threads that send pages, each with a channel; 0: main's thread does */
    bool zeros_on_main;    /* zero pages are records in the main stream */
    enum ram_flush flush;  /* the barrier between main and the channels */
    uint32_t capabilities; /* STREAM_CAP_… that the stream's configuration names */
    bool marks_blocks;     /* the destination must be able to tell which blocks are left out */
    bool switchover_start; /* the command goes before RAM's last section */
    bool has_peer; /* a destination reads, and may run the guest; false: a file is written */
    bool verdict;  /* the source asks for the destination's verdict, and waits for it */
    bool ack;      /* the guest runs on until the destination has said that it is ready */
    bool pause;    /* the switch-over waits for source_continue() */
    bool still;    /* the guest is stopped before the first page */
    enum converge_by slowed; /* how a guest that writes too fast is slowed down */
};

/*
 * Makes the plan for a machine of this type. ERR_USAGE where the config breaks a rule of rules.h;
 * this also covers callers that have not asked the gate.
 */
MUST_USE int plan_make(const struct source_config *config, const char *machine, struct plan *ret,
                       struct error *err);
