/*
 * settings/settings.h: the capabilities and parameters of one end, and which of them were set
 * explicitly. Each is checked by itself here; the gate checks what goes together.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "settings/parameters.h"
#include "settings/rules.h"

_Static_assert(PARAM_N <= 64, "explicit_parameters has a bit for each");

struct settings {
    uint64_t capabilities; /* IN_SET(CAP_…) of those that are on */
    union parameter_value parameters[PARAM_N];
    /* What the user or a command has set; the rest are defaults. */
    uint64_t explicit_capabilities, explicit_parameters;
};

/* Sets what a QEMU starts with: everything off, every parameter at QEMU's default, nothing set
 * explicitly. */
void settings_init(struct settings *s);

/*
 * Sets one more setting, by QEMU's name and as text, or as a value. Refuses an unknown name, a
 * value that is not allowed, and a value other than the one that was set before.
 */
MUST_USE int settings_say(struct settings *s, const char *name, const char *value,
                          struct refusal *ret, struct error *err);
MUST_USE int settings_say_capability(struct settings *s, enum capability id, bool on,
                                     struct refusal *ret, struct error *err);
MUST_USE int settings_say_parameter(struct settings *s, enum parameter id,
                                    union parameter_value value, struct refusal *ret,
                                    struct error *err);
/*
 * Makes a copy with texts of its own, for code that keeps settings longer than the text they were
 * read from. The copy's texts live until settings_copy_done(), which also accepts a zeroed copy.
 */
MUST_USE int settings_copy(const struct settings *s, struct settings *ret, struct error *err);
void settings_copy_done(struct settings *copy);
/* What was set in `change` replaces what `s` has. */
void settings_overlay(struct settings *s, const struct settings *change);

bool settings_on(const struct settings *s, enum capability id);
bool settings_explicit_capability(const struct settings *s, enum capability id);
bool settings_explicit(const struct settings *s, enum parameter id);
uint64_t settings_number(const struct settings *s, enum parameter id);
const char *settings_text(const struct settings *s, enum parameter id);
/* multifd-channels where multifd is on, else 0. */
unsigned settings_channels(const struct settings *s);
/* The level of the method that is set: what --compress METHOD:LEVEL sets. 0 for a method without
 * levels. */
int settings_level(const struct settings *s);
