/*
 * migration/settings.h: the capabilities and parameters of one end, and which of them were said.
 * Only what each may be by itself is checked here; what goes together is the gate's affair.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "migration/parameters.h"
#include "migration/rules.h"

_Static_assert(PARAM_N <= 64, "said_parameters has a bit for each");

struct settings {
    uint64_t capabilities; /* IN_SET(CAP_…) of those that are on */
    union parameter_value parameters[PARAM_N];
    /* What the user, or a command, named: the rest is a default. */
    uint64_t said_capabilities, said_parameters;
};

/* As a QEMU starts: everything off, every parameter at QEMU's default, nothing said. */
void settings_init(struct settings *s);

/*
 * Says one more thing, by QEMU's name and as text, or with a value at hand. A name that is not
 * known, a value that may not be, or another than was said before is refused.
 */
MUST_USE int settings_say(struct settings *s, const char *name, const char *value,
                          struct refusal *ret, struct error *err);
MUST_USE int settings_say_capability(struct settings *s, enum capability id, bool on,
                                     struct refusal *ret, struct error *err);
MUST_USE int settings_say_parameter(struct settings *s, enum parameter id,
                                    union parameter_value value, struct refusal *ret,
                                    struct error *err);
/*
 * A copy whose texts are its own: for who keeps settings longer than the text they were read from.
 * Text of the copy lives until settings_copy_done(), which a zeroed one may see, too.
 */
MUST_USE int settings_copy(const struct settings *s, struct settings *ret, struct error *err);
void settings_copy_done(struct settings *copy);
/* What `change` says stands over what `s` has. */
void settings_overlay(struct settings *s, const struct settings *change);

bool settings_on(const struct settings *s, enum capability id);
bool settings_said_capability(const struct settings *s, enum capability id);
bool settings_said(const struct settings *s, enum parameter id);
uint64_t settings_number(const struct settings *s, enum parameter id);
const char *settings_text(const struct settings *s, enum parameter id);
/* multifd-channels with multifd on, else 0. */
unsigned settings_channels(const struct settings *s);
/* Of the method that is set: what --compress METHOD:LEVEL says. 0 for a method without levels. */
int settings_level(const struct settings *s);
