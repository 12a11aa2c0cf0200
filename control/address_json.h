/*
 * control/address_json.h: the addresses of a migration as QMP writes them: a URI, or a list of
 * channels with QEMU's addresses.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"
#include "transport/address.h"

/*
 * Reads the arguments `uri` and `channels`, whose types have been checked. *ret_one: there is
 * exactly one main address, in *ret; false: there are several or none, which is no failure
 * here. *ret_beside: there is also one channel of type cpr, in *ret_cpr. A descriptor is refused: a
 * monitor's client cannot know which are open.
 */
MUST_USE int address_of_json(const json_t *arguments, struct address *ret, bool *ret_one,
                             struct address *ret_cpr, bool *ret_beside, struct error *err);
/* QEMU's SocketAddress for an address such as "tcp:127.0.0.1:4444"; the caller owns it. NULL for an
 * address that is no socket's, such as a file's. */
json_t *address_json(const char *text);
