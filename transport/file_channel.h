/*
 * transport/file_channel.h: a regular file as a channel, read or written from an offset on.
 */
#pragma once

#include "transport/channel.h"

/* The descriptor stays the caller's. The channel starts at `offset` of the file. */
MUST_USE int file_channel_open(int fd, uint64_t offset, struct channel **ret, struct error *err);
/* Only for channels from file_channel_open(): the next byte moved is the one at `offset`. */
void file_channel_seek(struct channel *c, uint64_t offset);
