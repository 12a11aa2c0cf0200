/*
 * stream/command.h: commands on the main stream, source to destination.
 */
#pragma once

#include <stdint.h>

#include "stream/stream_format.h"
#include "stream/stream_in.h"
#include "stream/stream_out.h"

#define COMMAND_HEAD_LEN 5  /* type byte, number, length: all there is without a payload */
#define COMMAND_LEN_MAX  32 /* of those that we read; a longer one is refused by name */

struct command {
    enum stream_command id;
    uint16_t len;
    uint8_t payload[COMMAND_LEN_MAX];
};

/* The type byte included. */
void command_out(struct stream_out *out, enum stream_command id, const void *payload, uint16_t len);
/* PING, whose payload is one number. */
void command_out_ping(struct stream_out *out, uint32_t value);
/* One without a payload, past the stream's buffer; `flags` are those of channel_sendv(). */
MUST_USE int command_send(struct channel *c, enum stream_command id, unsigned flags,
                          struct error *err);
/* Reads what follows the type byte; an unknown command or a wrong length sticks to `in`. */
void command_in(struct stream_in *in, struct command *ret);
const char *command_name(enum stream_command id);
