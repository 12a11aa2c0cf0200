/*
 * tools/remedy.h: an error as this program prints it: what its user can do about it is said in the
 * words of the command line.
 */
#pragma once

#include "base/error.h"

/* ", or --channels 0": what follows a text. "" for REMEDY_NONE. */
const char *remedy_words(enum remedy remedy);
/* The error's text and its remedy's words, on one line. */
void error_line(const struct error *err, char ret[static ERR_LINE_LEN]);
