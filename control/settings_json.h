/*
 * control/settings_json.h: capabilities and parameters as QMP writes them. The gate decides what
 * may be set.
 */
#pragma once

#include <jansson.h>

#include "settings/settings.h"

/* Texts in the settings point into the JSON and live as long as it. One text is made from a list:
 * it is *ret_words, which the caller frees after the settings; NULL if no text was needed. */
MUST_USE int capabilities_of_json(const json_t *list, struct settings *change, struct error *err);
MUST_USE int parameters_of_json(const json_t *object, struct settings *change, char **ret_words,
                                struct error *err);

/* Those that the present QEMU has; the caller owns the result. */
json_t *capabilities_json(const struct settings *s);
json_t *parameters_json(const struct settings *s);
/* A value that has been checked, as QMP writes it; the caller owns it. A number that is too large
 * for a JSON integer becomes a real. */
json_t *parameter_value_json(enum parameter id, union parameter_value value);
