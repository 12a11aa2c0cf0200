/*
 * tools/interrupt.h: Ctrl-C as an orderly cancel. The second one ends the program at once. SIGUSR1
 * asks for the state.
 */
#pragma once

#include "base/error.h"

/*
 * From here on SIGINT, SIGTERM and SIGHUP stay pending, here and in threads that start later,
 * unless the program was started with them ignored. A thread that started earlier must block them
 * itself.
 */
void interrupt_block(void);
/* While the next interrupt_start() is in force, SIGUSR1 calls tell(arg), on the same thread as
 * cancel(). */
void interrupt_tell(void (*tell)(void *arg), void *arg);
/* From here on a signal calls cancel(arg) on a thread of its own; a pending one does so at once. */
MUST_USE int interrupt_start(void (*cancel)(void *arg), void *arg, struct error *err);
/* After this no call of cancel() is under way or will come; signals stay pending again. */
void interrupt_stop(void);
/* Signals, pending ones too, do again what they did before interrupt_block(). */
void interrupt_unblock(void);
