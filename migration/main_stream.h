/*
 * migration/main_stream.h: the whole main stream as a destination, or a reader of a snapshot
 * file, meets it: configuration, early devices, RAM, the device tail.
 */
#pragma once

#include "migration/machine.h"
#include "ram/ram_load.h"
#include "stream/command.h"
#include "stream/stream_in.h"

struct main_stream;

/* What the reader around it provides. Called by the thread in main_stream_read(). */
struct main_stream_ops {
    /* The configuration was read: the first chance to refuse. */
    int (*configured)(struct main_stream *ms, struct error *err);
    /* A command that concerns the connection. NULL: a file, they mean nothing. */
    int (*command)(struct main_stream *ms, const struct command *c, struct error *err);
};

struct main_stream {
    /* Set by the owner. */
    const struct main_stream_ops *ops;
    struct stream_in *in;
    bool on_channels;    /* pages travel elsewhere: main may rest until all of them are there */
    struct ram_load ram; /* ops, in, map and what else its owner sets */
    bool confirmed; /* the switch-over: the source is asked first, and may say DROP before that */
    bool padded;    /* a file: what stands behind the description is not looked at */
    /* Filled while reading. */
    struct configuration config;
    struct device_state devices;
};

#define MAIN_STREAM_DROPPED "the source has given up, and keeps its guest"

/*
 * From the block list to RAM's last section the source may be silent at any byte: it is held before
 * the switch-over, and what its buffer holds stays there. Called when the list is read.
 */
void main_stream_may_rest(struct main_stream *ms);
/* Reads all of it, to the last byte of the description, and checks the one against the other. */
MUST_USE int main_stream_read(struct main_stream *ms, struct error *err);
void main_stream_done(struct main_stream *ms);
