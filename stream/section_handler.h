/*
 * stream/section_handler.h: handlers of the sections that iterate, which have a start, parts and an
 * end. The source has a list of savers, which it walks in that order; the destination has a list of
 * loaders. A handler writes or reads bodies only: headers, footers, and which section may follow
 * which, are decided here. Sections without a handler stay bytes: struct device_state.
 */
#pragma once

#include <stdbool.h>

#include "stream/section.h"

/* What a section is: its name, and the layout of its bodies. */
struct section_kind {
    const char *name; /* in the stream, with `instance`; QEMU's idstr */
    uint32_t instance;
    uint32_t version;
    const char *title; /* its name in errors: "RAM section" */
};

/* --- the source ------------------------------------------------------------------------------ */

struct section_saver;

/* Called by the thread that writes the main stream. NULL: the list's owner never asks for it. */
struct section_saver_ops {
    /* Each writes a body. The guest may be running in start() and part(), and is paused in end(),
     * which sends all that is left. */
    int (*start)(struct section_saver *s, struct stream_out *out, struct error *err);
    int (*part)(struct section_saver *s, struct stream_out *out, struct error *err);
    int (*end)(struct section_saver *s, struct stream_out *out, struct error *err);
    /* How many bytes end() would have to send now. The downtime estimate counts them. */
    uint64_t (*pending)(const struct section_saver *s);
};

/* The first member of a saver's own struct, set by its owner. */
struct section_saver {
    const struct section_saver_ops *ops;
    const struct section_kind *kind;
    uint32_t id; /* no other saver of the list has it */
    struct section_saver *next;
};

/* A zeroed list is empty. */
struct section_savers {
    struct section_saver *first;
};

/* Appends a saver, which must live as long as the list. */
void section_savers_add(struct section_savers *list, struct section_saver *s);
/* Writes a whole section of each saver, and sends it at once. `type`: START, PART or END. */
MUST_USE int section_savers_out(const struct section_savers *list, enum stream_element type,
                                struct stream_out *out, struct error *err);
/* The sum over all savers, in bytes. */
uint64_t section_savers_pending(const struct section_savers *list);

/* --- the destination ------------------------------------------------------------------------- */

struct section_loader;

/*
 * Reads the body of a START, PART or END section, as s->type says, up to the footer. It may come
 * from anyone. Called by the thread that reads the main stream.
 */
typedef int section_load(struct section_loader *l, struct stream_in *in, const struct section *s,
                         struct error *err);

enum section_state {
    SECTION_AWAITED, /* its start has not come */
    SECTION_OPEN,
    SECTION_ENDED,
};

/* The first member of a loader's own struct. */
struct section_loader {
    /* Set by the owner. */
    const struct section_kind *kind;
    section_load *load;
    /* The list's. */
    enum section_state state;
    uint32_t id; /* the source chose it; valid once the section has started */
    struct section_loader *next;
};

/* A zeroed list is empty. */
struct section_loaders {
    struct section_loader *first;
};

/* Appends a loader, which must live as long as the list. */
void section_loaders_add(struct section_loaders *list, struct section_loader *l);
/*
 * Reads the body and the footer of the section whose header is *s. Finds its loader by name and
 * instance if it starts, else by its id. ERR_PEER: there is no such loader, the version is another
 * one, or the section has started or ended before.
 */
MUST_USE int section_loaders_in(const struct section_loaders *list, const struct section *s,
                                struct stream_in *in, struct error *err);
/* Whether the end of every section has been read. */
bool section_loaders_ended(const struct section_loaders *list);
