/*
 * vmm/guest/ports.h: how a guest talks to its host. Included by payloads and by the host: numbers
 * only, no code.
 *
 * A message is one 32-bit OUT; the value written does not matter. The port says which message it
 * is, and its words are in registers, so that a guest can report broken memory without relying on
 * it. The host checks all messages: one that cannot be true ends the guest's run.
 *
 *   port                   | rdi             | rsi                   | rcx
 *   GUEST_PORT_HEARTBEAT   | the guest's TSC | pages verified so far | pages written so far
 *   GUEST_PORT_WRONG_PAGE  | page number     | word found            | word expected
 *   GUEST_PORT_WRONG_STATE | which           | word found            | word expected
 *   GUEST_PORT_WAIT        | ticks of the TSC
 *   GUEST_PORT_SWEPT       | the guest's TSC | pages
 *   GUEST_PORT_FACT        | which           | value
 *   GUEST_PORT_EXIT        | exit code
 *
 * All values are of the vCPU that sends the message: its TSC, its counts since it started, a page
 * of its own range. Page numbers are the guest's addresses divided by 4096.
 *
 * WRONG_STATE is for state other than memory: `which` has a GUEST_STATE in its lowest byte, and the
 * number of a register in the next. WAIT replaces HLT, which CPL3 does not allow: it returns after
 * that time or earlier; an interrupt that comes meanwhile is taken when it returns. SWEPT says that
 * all of the vCPU's pages were verified, and when that began. EXIT ends the whole guest.
 *
 * At GUEST_PORT_SERIAL there is a serial port (vmm/serial.h), accessed by single bytes; it is the
 * only one that can be read.
 */
#pragma once

#define GUEST_PORT_HEARTBEAT   0x510
#define GUEST_PORT_WRONG_PAGE  0x511
#define GUEST_PORT_WRONG_STATE 0x512
#define GUEST_PORT_WAIT        0x513
#define GUEST_PORT_SWEPT       0x514
#define GUEST_PORT_FACT        0x515
#define GUEST_PORT_EXIT        0x516
#define GUEST_PORT_SERIAL      0x3f8

#define GUEST_MESSAGE_WORDS 3

#define GUEST_STATE_GENERAL         1 /* a general register */
#define GUEST_STATE_VECTOR          2 /* a part of a vector register */
#define GUEST_STATE_MASK            3 /* a mask register of AVX-512 */
#define GUEST_STATE_MXCSR           4
#define GUEST_STATE_TIMER           5 /* found: interrupts so far; expected: those that are due */
#define GUEST_STATE_TSC             6 /* found: the TSC; expected: a value that was read before */
#define GUEST_STATE_LEDGER          7 /* found: writes in the ledger; expected: writes made */
#define GUEST_STATE_COUNT           8
#define GUEST_STATE_KIND(which)     ((which)&0xff)
#define GUEST_STATE_INDEX(which)    ((which) >> 8 & 0xff)
#define GUEST_STATE_OF(kind, index) ((kind) | (index) << 8)

#define GUEST_FACT_WRITE  0 /* how it writes pages: a GUEST_WRITE of params.h */
#define GUEST_FACT_VECTOR 1 /* bytes of a vector register */
#define GUEST_FACT_COUNT  2
