/*
 * tools/interrupt.h: Ctrl-C as an orderly cancel. The second one ends the program at once.
 */
#pragma once

#include "base/error.h"

/*
 * From here on SIGINT, SIGTERM and SIGHUP, unless the program was started with them ignored, wait,
 * in threads that are started later, too; one that was started before must block them by itself.
 */
void interrupt_block(void);
/* They now call cancel(arg), on a thread of their own; those that waited, at once. */
MUST_USE int interrupt_start(void (*cancel)(void *arg), void *arg, struct error *err);
/* No call is under way or will come; they wait again. */
void interrupt_stop(void);
/* They do what they did before interrupt_block(), as do those that waited. */
void interrupt_unblock(void);
