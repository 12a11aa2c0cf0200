/*
 * control/address_json.h: where a migration goes to, or comes in, as QMP has it: a URI, or a list
 * of channels with QEMU's addresses.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"
#include "transport/address.h"

/*
 * Of the arguments `uri` and `channels`, whose types have been checked. *ret_one: there is exactly
 * one main address, and it is in *ret; else what is there is neither one nor malformed.
 * *ret_beside: so it is with a channel of type cpr, in *ret_cpr. A descriptor is refused: which of
 * them are open is not for a monitor to know.
 */
MUST_USE int address_of_json(const json_t *arguments, struct address *ret, bool *ret_one,
                             struct address *ret_cpr, bool *ret_beside, struct error *err);
/* QEMU's SocketAddress of one such as "tcp:127.0.0.1:4444"; the caller's. NULL where it is none, as
 * a file's. */
json_t *address_json(const char *text);
