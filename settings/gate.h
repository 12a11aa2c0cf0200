/*
 * settings/gate.h: the one place that accepts settings, and that allows a migration to start. The
 * rules are a table in rules.h; the gate finds out which facts hold.
 *
 * `world` in all calls is a set of IN_SET(FACT_…) that only the caller knows: which end this is,
 * what runs, where the address leads, what the host lacks. 0 is an idle VM on a host that lacks
 * nothing.
 */
#pragma once

#include "settings/settings.h"
#include "transport/address.h"

/*
 * Accepts a change: `change` is settings_init() and what was set since. All of it or nothing: the
 * rules check the result as a whole, and *now is untouched where one refuses.
 */
MUST_USE int gate_set(struct settings *now, const struct settings *change, uint64_t world,
                      struct refusal *ret, struct error *err);
/* Allows a migration to start (AT_MIGRATE or AT_INCOMING), or a RAM block to be changed
 * (AT_RAM_SET). */
MUST_USE int gate_start(const struct settings *s, enum moment moment, uint64_t world,
                        struct refusal *ret, struct error *err);

/* Everything that holds: the world, the capabilities that are on, and what follows from the
 * parameters. */
uint64_t gate_facts(const struct settings *s, uint64_t world);
/* The facts that follow from an address. */
uint64_t gate_address_facts(const struct address *a);
