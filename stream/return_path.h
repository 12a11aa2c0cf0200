/*
 * stream/return_path.h: messages from destination to source on the main connection.
 *
 * The destination may write only after OPEN_RETURN_PATH. If a source closes while it has unread
 * bytes, the kernel may send a reset, which destroys the bytes that we have not read yet.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "stream/stream_format.h"
#include "stream/stream_in.h"
#include "transport/channel.h"

struct return_path_message {
    enum return_message type;
    uint32_t value; /* SHUT, PONG, RESUME_ACK */
};

const char *return_message_name(enum return_message type);

/* `flags` are those of channel_sendv(). */
MUST_USE int return_path_send(struct channel *c, enum return_message type, uint32_t value,
                              unsigned flags, struct error *err);
/*
 * Waits for the next message. Postcopy's requests are refused: nothing here asks for them. Returns
 * 0 with *ret set, or -1.
 */
MUST_USE int return_path_recv(struct stream_in *in, struct return_path_message *ret,
                              struct error *err);
