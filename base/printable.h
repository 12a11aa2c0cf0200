/*
 * base/printable.h: the one place that makes text fit for a terminal and a log. Text that a peer, a
 * file, a guest or a user chose may hold a second line, a cursor's movement or a change of the
 * writing direction: whoever prints such text sends it through here. Error texts have been through.
 */
#pragma once

/*
 * Keeps UTF-8 of visible characters as it is. Each byte of anything else becomes '?': control
 * characters (C0, DEL, C1), line and paragraph separators, characters that are invisible or that
 * govern the writing direction, and what is no UTF-8. So the text is valid UTF-8 afterwards, on one
 * line, and as long as before.
 */
void printable(char *text);
