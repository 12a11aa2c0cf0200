/*
 * tools/option_values.h: values that only one option has. Each function is a set() of
 * tools/option_kind.h; `member` is what the comment says.
 */
#pragma once

#include "base/error.h"

/* struct settings. multifd and its channels: a number, 0: no multifd. */
int option_channels(void *member, const char *value, struct error *err);
/* The same, or auto. */
int option_channels_or_auto(void *member, const char *value, struct error *err);
/* struct settings. METHOD[:LEVEL]; the method's name tells which parameter has the level. */
int option_method(void *member, const char *value, struct error *err);
/* struct settings. NAME=VALUE; the value may be kept by reference. */
int option_setting(void *member, const char *value, struct error *err);

/* uint64_t, in ms; a bare number is in ms */
int option_source_limit(void *member, const char *value, struct error *err);
/* const struct engine * */
int option_engine(void *member, const char *value, struct error *err);
/* const char *, the value itself, after a check. */
int option_machine(void *member, const char *value, struct error *err);
int option_tls_username(void *member, const char *value, struct error *err);
int option_uri(void *member, const char *value, struct error *err);
int option_places(void *member, const char *value, struct error *err);
/* struct uuid */
int option_uuid(void *member, const char *value, struct error *err);
/* struct memory_backing_config; keeps `numa`. */
int option_backend(void *member, const char *value, struct error *err);
/* enum dirty_kind */
int option_dirty_source(void *member, const char *value, struct error *err);
/* const char *, the value itself, after a check: an address to serve at, systemd:[NAME], or
 * file:PATH */
int option_metrics(void *member, const char *value, struct error *err);
/* unsigned; a number of migrations, not 0; without a value: 0 */
int option_repeat(void *member, const char *value, struct error *err);
/* unsigned; not 0 */
int option_entries(void *member, const char *value, struct error *err);
