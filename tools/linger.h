/*
 * tools/linger.h: an exec that does not wait for the old program's memory to be taken apart.
 *
 * exec(2) gives a process new memory, and the last user of the old one unmaps it, page by page, and
 * ends the VM that KVM has around it: for a guest of gigabytes that is longer than all the rest,
 * and its guest stands still meanwhile. Here a second user of the memory, a process of a few
 * instructions with no descriptor but a pipe, stays until the exec is done, and is the last one.
 */
#pragma once

struct lingerer;

/* Starts it; NULL where that cannot be: then exec takes as long as it takes. The calling thread has
 * all signals blocked. */
struct lingerer *linger_start(void);
/* The next program's: where nobody else takes in processes that are left alone, as in a container
 * without an init, those of earlier execs are its own. */
void linger_reap(void);
/* There was no exec: ends it, and waits until it has. NULL is fine. */
void linger_stop(struct lingerer *l);
