/*
 * migration/link.h: what a cut destroys: a source's connection to its destination, or the file that
 * it writes. The group of channels, main, the stream on it, the sink of the pages, the return path.
 *
 * A link knows nothing of the guest, of dirty pages or of the migration's status: those belong to
 * the source, which has a link or none, and outlives it.
 */
#pragma once

#include "migration/plan.h"
#include "migration/return_reader.h"
#include "migration/stats.h"
#include "ram/page_sink.h"
#include "ram/ram_list.h"
#include "stream/stream_out.h"
#include "transport/channel_group.h"
#include "transport/file.h"

/* What a link is made from. All of it is the source's, and outlives the link. */
struct link_config {
    const struct source_config *source;
    const struct plan *plan;
    const struct ram_map *ram;
    uint64_t head_bytes; /* the stream has no more than these before RAM's section */
};

struct link {
    /* Set before the threads start, read-only after. */
    struct link_config config;

    struct channel_group group;

    /* Used only by the thread that runs the migration. */
    struct file_target file; /* the file that is written; none: there is a peer */
    /* For a mapped-ram file, by block: where its pages are, and which ones are there. */
    struct mapped_ram *mapped;
    struct dirty_bitmap *written;
    _Atomic uint64_t **sums; /* of the pages that are there; NULL: no checksums are written */
    struct stream_out out;

    struct return_reader return_reader;

    /* Under the group's lock. */
    struct channel *main;
    struct page_sink *sink; /* set once link_snapshot() may look at it */
    /* The destination may have everything and wait for RUN or DROP: a failure sends DROP. */
    bool asking;
    bool hurry;   /* a cancel has come, in time or too late */
    bool leaving; /* all is over; the channels are being closed */
};

/* A link that is not connected yet: it can be cancelled. */
MUST_USE int link_new(const struct link_config *config, struct link **ret, struct error *err);
/*
 * Connects main and then all channels, or opens the file, and starts the sink. A destination reads
 * the hello of every channel before main's first byte is written. Main is connected before them:
 * under TLS a QEMU takes the first handshake for main's. (link_connect.c)
 */
MUST_USE int link_connect(struct link *l, struct error *err);
/* Asks the destination to speak on the return path, and starts the thread that reads it. */
MUST_USE int link_open_return_path(struct link *l, struct error *err);
/* Sets what the group's farewell says: whether the destination waits for RUN or DROP. */
void link_set_asking(struct link *l, bool asking);
/* The stream is complete: writes its checksums after it, where the file gets any. */
MUST_USE int link_seal(struct link *l, struct error *err);
/* Everything has been sent: closes all channels properly. A failure of that changes nothing. */
void link_finish(struct link *l);
/*
 * Ends it with a failure. *err becomes the first error or, better, what the destination says of its
 * own failure. True: the destination has failed, so it has no guest. What was written to a file is
 * removed.
 */
bool link_fail(struct link *l, struct error *err);
/* Others may read or write the file, if there is one. */
void link_unlock(const struct link *l);
/* The one end of a link: frees all of it, in whatever state it is. NULL is fine. */
void link_free(struct link *l);

/* Any thread, as long as the link exists. False: the destination may have all it needs. Then the
 * link ends soon, but not by this. */
bool link_cancel(struct link *l);
/* The bytes that main's own thread has sent: the stream, and pages that no other thread writes. The
 * thread that runs the migration, or under the group's lock. */
uint64_t link_main_bytes(const struct link *l);
/* Adds to *ret what its channels have counted. `stats` says when the guest was stopped. Any thread,
 * as long as the link exists. */
void link_snapshot(struct link *l, const struct migration_stats *stats,
                   struct migration_snapshot *ret);
