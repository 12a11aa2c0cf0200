/*
 * tools/linger.h: an exec that does not wait until the old program's memory is unmapped.
 *
 * exec(2) gives a process new memory. The last user of the old memory unmaps it page by page and
 * destroys KVM's VM. For a guest of gigabytes this takes longer than all the rest, and the guest is
 * paused meanwhile. So a second user of the memory, a process of a few instructions with no
 * descriptor but a pipe, stays until the exec is done: it is then the last user.
 */
#pragma once

struct lingerer;

/* Starts that process. NULL if it cannot: the exec then works, but takes longer. The calling thread
 * must block all signals. */
struct lingerer *linger_start(void);
/* For the next program: reaps the processes of earlier execs, which are its children where orphans
 * have no other parent, as in a container without an init. */
void linger_reap(void);
/* After an exec that failed: ends the process and waits for its end. NULL is fine. */
void linger_stop(struct lingerer *l);
