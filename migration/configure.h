/*
 * migration/configure.h: from what a user has set to what the source's engine takes. That it goes
 * together has been checked: gate.h.
 */
#pragma once

#include "migration/outgoing.h"
#include "migration/settings.h"

/* Which RAM blocks travel, at either end. */
void ram_set_rules_of(const struct settings *s, struct ram_set_rules *ret);
/* The capabilities that both ends must have on alike, STREAM_CAP_…. */
uint32_t stream_capabilities_of(const struct settings *s);
void outgoing_live_of(const struct settings *s, struct outgoing_live *ret);
/* All that the settings say. Address, engine, TLS, timeouts, UUID and observer are the caller's:
 * they stay as they were. */
void outgoing_configure(const struct settings *s, struct outgoing_config *ret);
