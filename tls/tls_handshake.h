/*
 * tls/tls_handshake.h: the handshake that puts a channel under TLS: why it failed, and whether the
 * kernel will encrypt. For tls/ only.
 */
#pragma once

#include "tls/tls_state.h"

/* As tls_channel_new() describes. No other thread knows the channel yet, so it needs no locks. */
MUST_USE int tls_handshake(struct tls_channel *t, const struct tls_creds *creds, uint64_t deadline,
                           struct error *err);
