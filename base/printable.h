/*
 * base/printable.h: makes text safe for a terminal and a log; no other place does. Text from a
 * peer, a file, a guest or a user may contain line breaks, cursor movements or a change of the
 * writing direction. Code that prints such text must call printable() first. Error texts have been
 * through it.
 */
#pragma once

/*
 * Keeps visible characters in UTF-8. Replaces each byte of anything else with '?': control
 * characters (C0, DEL, C1), line and paragraph separators, invisible characters, characters that
 * set the writing direction, and invalid UTF-8. Afterwards the text is valid UTF-8 on one line, as
 * long as before.
 */
void printable(char *text);
