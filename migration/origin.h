/*
 * migration/origin.h: where a migration comes from: a source that connects, or a file. The
 * destination chooses one when it is made; after that it does not ask which one it is.
 */
#pragma once

#include <stdbool.h>

#include "migration/acceptor.h"
#include "migration/main_stream.h"
#include "ram/file_mapping.h"
#include "ram/ram_load.h"

struct origin;

/* Called by the thread in destination_run(), unless they say otherwise. */
struct origin_ops {
    bool has_peer;         /* there is a source, which can be answered */
    const char *main_name; /* put before errors of main; NULL: nothing is */
    /* Listens, or has opened the file, when it returns. Any thread, before all other calls. */
    int (*open)(struct origin *o, struct error *err);
    /* After open(), any thread, as long as the object lives. */
    const char *(*address)(const struct origin *o);
    /* Waits for the main stream's channel, which becomes the caller's. */
    int (*await_main)(struct origin *o, struct channel **ret, struct error *err);
    /* `ms` has main's reader: puts it before the stream's first byte, and sets in `ms` and in RAM's
     * loader what the origin knows of the stream. */
    void (*begin)(struct origin *o, struct main_stream *ms, struct ram_load *load);
    /* Waits until all channels are there that main relies on. NULL: there are no channels. */
    int (*settle)(struct origin *o, struct error *err);
    /* No more channels come. NULL: there are none. */
    void (*enough)(struct origin *o);
    /* Main has shown that it is a migration. NULL: it need not. */
    void (*proven)(struct origin *o);
    /* Takes the pages that have a place of their own, by main's list, into memory, or maps them
     * there. NULL: no page has such a place. */
    int (*load_pages)(struct origin *o, const struct mapped_ram *list, const struct ram_map *map,
                      struct file_mapping *mapping, struct error *err);
    /* The main stream is complete: fails where pages are missing. `expected`: by the main stream,
     * some pages travel on channels. NULL: none can be missing. */
    int (*check_complete)(struct origin *o, bool expected, struct error *err);
    /* Any thread: a cancel, also after the outcome is settled for the source. NULL: that is too
     * late. */
    void (*cancel)(struct origin *o);
    /* Stops accepting; when it returns, no thread of the origin runs. A second call does nothing.
     * NULL: it has no threads. */
    void (*end)(struct origin *o);
    void (*free)(struct origin *o);
};

struct origin {
    const struct origin_ops *ops;
    const char *name; /* put before every error; NULL: nothing is, or not yet */
};

/* For both, what the configuration points to must outlive the origin. */
MUST_USE int origin_listener_new(const struct acceptor_config *config, struct origin **ret,
                                 struct error *err);

struct origin_file_config {
    const struct connect_config *connect; /* the address is the file's */
    struct channel_group *group;
    unsigned n_threads; /* threads that read a mapped-ram file's pages */
    bool direct_io;     /* they read past the page cache; nothing is mapped then */
    bool checksums;     /* if the file has any, what is read is compared with them */
};
MUST_USE int origin_file_new(const struct origin_file_config *config, struct origin **ret,
                             struct error *err);

/* Each calls the op of its name, if there is one. */
MUST_USE int origin_settle(struct origin *o, struct error *err);
void origin_enough(struct origin *o);
void origin_proven(struct origin *o);
MUST_USE int origin_check_complete(struct origin *o, bool expected, struct error *err);
void origin_cancel(struct origin *o);
/* NULL is fine. */
void origin_end(struct origin *o);
void origin_free(struct origin *o);
