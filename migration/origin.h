/*
 * migration/origin.h: where a migration comes from: a source that connects, or a file. The
 * destination chooses one when it is made; from then on it does not ask which it is.
 */
#pragma once

#include <stdbool.h>

#include "migration/arrivals.h"
#include "migration/main_stream.h"
#include "ram/file_mapping.h"

struct origin;

/* Called by the thread in incoming_run(), where nothing else is said. */
struct origin_ops {
    bool has_peer;         /* a source is there, which may be answered */
    const char *main_name; /* stands before what is wrong with main; NULL: nothing does */
    /* Listens, or has opened the file, when it returns. Any thread, before all others. */
    int (*open)(struct origin *o, struct error *err);
    /* After open(), any thread, as long as the object lives. */
    const char *(*address)(const struct origin *o);
    /* Waits for the main stream's channel, which becomes the caller's. */
    int (*await_main)(struct origin *o, struct channel **ret, struct error *err);
    /* `ms` has main's reader: puts it before the stream's first byte, and says what it reads. */
    void (*begin)(struct origin *o, struct main_stream *ms);
    /* Waits until all channels are there that main counts on. NULL: there are none. */
    int (*settle)(struct origin *o, struct error *err);
    /* Main has shown that it is a migration. NULL: it need not. */
    void (*proven)(struct origin *o);
    /* Pages that have a place of their own, by main's list: into memory, or mapped there. NULL: no
     * page has. */
    int (*load_pages)(struct origin *o, const struct mapped_ram *list, const struct ram_map *map,
                      struct file_mapping *mapping, struct error *err);
    /* The main stream is complete: fails where pages are missing, of which by main some are
     * `expected` beside it. NULL: none can be. */
    int (*check_complete)(struct origin *o, bool expected, struct error *err);
    /* Any thread: a cancel, which may come after the source could be told. NULL: that is too late.
     */
    void (*cancel)(struct origin *o);
    /* Takes no more; no thread of its own runs when it returns. Twice is fine. NULL: none does. */
    void (*end)(struct origin *o);
    void (*free)(struct origin *o);
};

struct origin {
    const struct origin_ops *ops;
    const char *name; /* stands before whatever fails; NULL: nothing does, or not yet */
};

/* Of both, what the configurations point to must outlive it. */
MUST_USE int origin_listener_new(const struct arrivals_config *config, struct origin **ret,
                                 struct error *err);

struct origin_file_config {
    const struct connect_config *connect; /* the address is the file's */
    struct channel_group *group;
    unsigned n_threads; /* that read a mapped-ram file's pages */
    bool direct_io;     /* they read past the page cache; nothing is mapped then */
};
MUST_USE int origin_file_new(const struct origin_file_config *config, struct origin **ret,
                             struct error *err);

/* The ops of these names, where there are any. */
MUST_USE int origin_settle(struct origin *o, struct error *err);
void origin_proven(struct origin *o);
MUST_USE int origin_check_complete(struct origin *o, bool expected, struct error *err);
void origin_cancel(struct origin *o);
/* NULL is fine. */
void origin_end(struct origin *o);
void origin_free(struct origin *o);
