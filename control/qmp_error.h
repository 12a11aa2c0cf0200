/*
 * control/qmp_error.h: an error as a monitor tells it: its remedy, what the user can do about it,
 * names capabilities and parameters.
 */
#pragma once

#include "base/error.h"

/* The error's text and its remedy, on one line. */
void qmp_error_line(const struct error *err, char ret[static ERR_LINE_LEN]);
