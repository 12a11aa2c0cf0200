/*
 * tools/remedy.h: an error as this program prints it, with what the user can do about it in terms
 * of the command line.
 */
#pragma once

#include "base/error.h"
#include "settings/advice.h"

/* What follows the error's text, such as ", or --channels 0". "" for REMEDY_NONE. */
const char *remedy_words(enum remedy remedy);
/* The error's text and its remedy's words, on one line. */
void error_line(const struct error *err, char ret[static ERR_LINE_LEN]);

/* The options and settings by which a user of this program helps a migration to end. */
extern advice_words remedy_advice;
