/*
 * control/settings_json.h: capabilities and parameters as QMP has them. What may be set is for the
 * gate to say.
 */
#pragma once

#include <jansson.h>

#include "migration/settings.h"

/* Texts of the settings are the JSON's: they go with it. But for one, which is made of a list:
 * *ret_words, the caller's to free() behind the settings; NULL where there is none. */
MUST_USE int capabilities_of_json(const json_t *list, struct settings *change, struct error *err);
MUST_USE int parameters_of_json(const json_t *object, struct settings *change, char **ret_words,
                                struct error *err);

/* Those that the present QEMU has; the caller's. */
json_t *capabilities_json(const struct settings *s);
json_t *parameters_json(const struct settings *s);
/* A list of texts out of the value of a KIND_WORDS, which has been checked; the caller's. */
json_t *words_json(const char *line);
