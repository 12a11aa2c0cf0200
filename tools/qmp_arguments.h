/*
 * tools/qmp_arguments.h: a QMP command's arguments, as words of a command line.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

/*
 * Each word is KEY=VALUE. A VALUE that is valid JSON is taken as JSON, any other as a string; dots
 * in KEY name members of objects: "a.b=1" is {"a": {"b": 1}}. Or one word is the whole object,
 * "{…}". Without words *ret is NULL. Free it with json_decref(). Fails with ERR_USAGE.
 */
MUST_USE int qmp_arguments(const char *const *words, size_t n, json_t **ret, struct error *err);
