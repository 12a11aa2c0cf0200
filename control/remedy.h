/*
 * control/remedy.h: an error as a monitor tells it: what its user can do about it is said by the
 * names of capabilities and parameters.
 */
#pragma once

#include "base/error.h"

/* The error's text and its remedy's words, on one line. */
void monitor_line(const struct error *err, char ret[static ERR_LINE_LEN]);
