/*
 * migration/plan.h: what a migration is to be. A caller says what it wants in a config, by itself
 * or from settings; the plan is every choice that follows, made once and read-only from then on.
 * The engine asks the plan, by what a choice means, and not what was set.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cpus.h"
#include "base/uuid.h"
#include "compress/codec.h"
#include "migration/connect.h"
#include "migration/converge.h"
#include "migration/live.h"
#include "migration/observer.h"
#include "migration/ram_set.h"
#include "migration/settings.h"
#include "ram/ram_save.h"

/* --- what a caller wants --------------------------------------------------------------------- */

struct outgoing_config {
    struct connect_config connect;
    unsigned n_channels; /* 0 … 255; 0: main's thread has the pages */
    enum codec_method method;
    int level;                       /* of the method */
    bool mapped_ram;                 /* into a file, every page at its own place */
    bool direct_io;                  /* pages go there past the page cache */
    struct ram_set_rules ram;        /* which blocks travel */
    bool return_path;                /* ask the destination for its verdict, and wait for it */
    bool switchover_ack;             /* stop the guest when the destination has said it is ready */
    bool pause_before_switchover;    /* then wait for outgoing_continue() */
    bool auto_converge;              /* take time from a guest that writes too fast, */
    bool dirty_limit;                /* or limit what each of its vCPUs writes; not both */
    const struct cpu_places *places; /* where the channels' threads run; NULL: anywhere */
    struct outgoing_live live;
    bool stop_first; /* the guest stands still from the start */
    bool hand_over;  /* its memory goes to who listens at `cpr`, before anything else */
    struct address cpr;
    /*
     * All is in the file, and the guest stands still. What comes of it is no longer this program's:
     * it does not return; or it fails, and so does the migration. NULL: there is no such step.
     */
    int (*replace)(void *arg, struct error *err);
    void *replace_arg;
    struct uuid uuid; /* of the VM, for the channels' hellos */
    struct migration_observer observer;
};

struct incoming_config {
    struct connect_config connect;   /* the address is where to listen, or the file to read */
    int n_channels;                  /* pinned, 0 … 255; -1: read off the connections */
    const struct cpu_places *places; /* where the channels' threads run; NULL: anywhere */
    int method;                      /* pinned, enum codec_method; -1: read off the packets */
    uint32_t capabilities;      /* STREAM_CAP_… that the source must have on, and no others … */
    uint32_t open_capabilities; /* … but for these, which it decides */
    bool switchover_ack;        /* say that this end is ready, whatever the type of machine */
    const char *machine;        /* pinned: the full versioned name; NULL: any */
    const struct uuid *uuid;    /* pinned; NULL: any */
    bool uuid_may_lack;         /* a stream that names none is taken, too, as QEMU does */
    bool main_any_time;         /* wait for the source until it comes */
    unsigned file_threads;      /* that read a mapped-ram file's pages; 0 is 1 */
    bool direct_io;             /* they read past the page cache; nothing is mapped then */
    unsigned populate_threads;  /* helpers that build memory ahead; 0: none */
    struct migration_observer observer; /* hears setup, active, the guest, and how it ended */
};

/* A source as it is where nothing is said; the address is missing still. Each default is decided
 * here, in connect_config_init(), or in the tables of capabilities and parameters. */
void outgoing_config_init(struct outgoing_config *ret);
/* The same of a destination: it takes whatever comes. */
void incoming_config_init(struct incoming_config *ret);

/* --- from settings, which the gate has let in: gate.h ---------------------------------------- */

/* Which RAM blocks travel, at either end. */
void ram_set_rules_of(const struct settings *s, struct ram_set_rules *ret);
/* The capabilities that both ends must have on alike, STREAM_CAP_…. */
uint32_t stream_capabilities_of(const struct settings *s);
void outgoing_live_of(const struct settings *s, struct outgoing_live *ret);
/* All that the settings say. Address, engine, TLS, timeouts, UUID and observer are the caller's:
 * they stay as they were. */
void outgoing_configure(const struct settings *s, struct outgoing_config *ret);
/* The same for a destination. What is not said is read off the connections. */
void incoming_configure(const struct settings *s, struct incoming_config *ret);

/* --- what follows ---------------------------------------------------------------------------- */

/* How pages travel. outgoing_setup.c has a row for each. */
enum plan_pages {
    PAGES_ON_MAIN,     /* records in the main stream */
    PAGES_ON_CHANNELS, /* packets on multifd channels */
    PAGES_IN_PLACE,    /* each at its own place in a file */
    PLAN_PAGES_N,
};

struct plan {
    enum plan_pages pages;
    unsigned n_workers;      /* threads with a channel each that send pages; 0: main's does */
    bool zeros_on_main;      /* zero pages are records in the main stream */
    enum ram_flush flush;    /* the barrier between main and the channels */
    uint32_t capabilities;   /* STREAM_CAP_… that the stream's configuration names */
    bool marks_blocks;       /* the destination must be able to tell which blocks are left out */
    bool switchover_start;   /* the command goes before RAM's last section */
    bool has_peer;           /* a destination reads, and may run the guest; else it is a file */
    bool verdict;            /* the destination is asked whether all is well, and waited for */
    bool ack;                /* the guest runs on until the destination has said it is ready */
    bool pause;              /* the switch-over waits for outgoing_continue() */
    bool still;              /* the guest is stopped before the first page */
    enum converge_by slowed; /* how a guest is that writes too fast */
};

/*
 * The plan for a machine of this type. ERR_USAGE where the config breaks a rule, rules.h: also for
 * a caller that has not asked the gate.
 */
MUST_USE int plan_make(const struct outgoing_config *config, const char *machine, struct plan *ret,
                       struct error *err);
