/*
 * tls/tls_handshake.h: from a channel to one under TLS: the handshake, why it failed, and the
 * question whether the kernel will encrypt. For tls/ only.
 */
#pragma once

#include "tls/tls_state.h"

/* As tls_channel_new() has it. Nobody else knows of the channel yet: no locks. */
MUST_USE int tls_handshake(struct tls_channel *t, const struct tls_creds *creds, uint64_t deadline,
                           struct error *err);
