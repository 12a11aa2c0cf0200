/*
 * stream/command.h: commands on the main stream, source to destination.
 */
#pragma once

#include <stdint.h>

#include "stream/stream_format.h"
#include "stream/stream_in.h"
#include "stream/stream_out.h"

#define COMMAND_HEAD_LEN 5   /* type byte, number, length: a whole command without a payload */
#define COMMAND_LEN_MAX  512 /* bytes of payload that we read; a longer command is refused */

#define COMMAND_MEASURED_LEN                                                                       \
    32 /* four u64: bytes left, downtime in us, bytes/s written, rounds                            \
        */

struct command {
    enum stream_command id;
    uint16_t len;
    uint8_t payload[COMMAND_LEN_MAX];
};

/* Writes a command, with its type byte. */
void command_out(struct stream_out *out, enum stream_command id, const void *payload, uint16_t len);
/* PING, whose payload is one number. */
void command_out_ping(struct stream_out *out, uint32_t value);
/* Sends a command without a payload at once, not through a stream_out; `flags` are those of
 * channel_sendv(). */
MUST_USE int command_send(struct channel *c, enum stream_command id, unsigned flags,
                          struct error *err);
/* Reads what follows the type byte; an unknown command or a wrong length makes `in` fail. */
void command_in(struct stream_in *in, struct command *ret);
const char *command_name(enum stream_command id);
