/*
 * migration/gate.h: the one place where settings are let in, and where a migration is let start.
 * The rules are a table, rules.h; here is asked what holds.
 *
 * `world` in all calls is a set of IN_SET(FACT_…) that only the caller knows: which end this is,
 * what runs, where the address leads, what the host lacks. 0 is an idle VM on an able host.
 */
#pragma once

#include "migration/settings.h"
#include "transport/address.h"

/*
 * Lets a change in: `change` is settings_init() and what was said since. All of it or nothing: the
 * result as a whole is checked, and *now is untouched where a rule refuses.
 */
MUST_USE int gate_set(struct settings *now, const struct settings *change, uint64_t world,
                      struct refusal *ret, struct error *err);
/* Lets a migration start, AT_MIGRATE or AT_INCOMING, or a RAM block be changed, AT_RAM_SET. */
MUST_USE int gate_start(const struct settings *s, enum moment moment, uint64_t world,
                        struct refusal *ret, struct error *err);

/* All that holds: the world, the capabilities that are on, and what follows from parameters. */
uint64_t gate_facts(const struct settings *s, uint64_t world);
/* What an address is to the rules, for whoever dials it. */
uint64_t gate_address_facts(const struct address *a);
