/*
 * migration/main_stream.h: the whole main stream as a destination, or a reader of a snapshot file,
 * reads it: configuration, early devices, the sections that iterate, the device tail.
 */
#pragma once

#include <jansson.h>

#include "migration/machine.h"
#include "stream/command.h"
#include "stream/section_handler.h"

struct main_stream;

/* What the stream's reader provides. Called by the thread in main_stream_read(). */
struct main_stream_ops {
    /* The configuration was read: the first chance to refuse. */
    int (*configured)(struct main_stream *ms, struct error *err);
    /* A command. NULL: a file, where commands mean nothing. After PACKAGED the package is read:
     * from there come POSTCOPY_LISTEN, before the devices, and POSTCOPY_RUN, after them. */
    int (*command)(struct main_stream *ms, const struct command *c, struct error *err);
    /* A last section begins: the source has stopped its guest. Its first byte is not consumed yet.
     * NULL: it is loaded like any other. */
    int (*ending)(struct main_stream *ms, struct error *err);
};

struct main_stream {
    /* Set by the owner. */
    const struct main_stream_ops *ops;
    struct stream_in *in;
    struct section_loaders loaders; /* of the sections that iterate; each must come */
    bool on_channels; /* pages travel on channels: main may rest until they are all there */
    /* The switch-over is confirmed: the source is asked first, and may send DROP before that. */
    bool confirmed;
    bool padded; /* a file: what follows the description is not looked at */
    /* Filled while reading. */
    struct configuration config;
    struct device_state devices;
    bool packaged;  /* the source has switched to postcopy: the devices have come */
    json_t *listed; /* the sections so far, as description_list() made it */
};

#define MAIN_STREAM_DROPPED "the source has given up, and keeps its guest"

/*
 * Call it when the block list has been read. From there to RAM's last section the source may be
 * silent at any byte: it may wait before the switch-over, with a part of the stream still in its
 * buffer.
 */
void main_stream_may_rest(struct main_stream *ms);
/* Reads the whole stream, to the last byte of the description, and checks the description against
 * the sections. */
MUST_USE int main_stream_read(struct main_stream *ms, struct error *err);
void main_stream_done(struct main_stream *ms);
