/*
 * tools/qmp_arguments.h: a QMP command's arguments, as words of a command line.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

/*
 * KEY=VALUE each: a VALUE that is JSON is that, any other a string; dots in KEY go into objects,
 * "a.b=1" is {"a": {"b": 1}}. Or one word that is the whole object, "{…}". Without words *ret is
 * NULL: there are no arguments. json_decref() it. Fails with ERR_USAGE.
 */
MUST_USE int qmp_arguments(const char *const *words, size_t n, json_t **ret, struct error *err);
