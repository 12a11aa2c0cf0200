/*
 * vmm/guest/ports.h: how a guest talks to its host. Included by payloads and by the host: numbers
 * only, no code.
 *
 * A message is one 32-bit OUT; what is written does not matter. The port says which message it is,
 * and its words stand in registers, so that a guest can tell of broken memory without trusting it.
 * Whatever comes is checked by the host: a message that cannot be true ends the guest's run.
 *
 *   port                  | rdi             | rsi                   | rcx
 *   GUEST_PORT_HEARTBEAT  | the guest's TSC | pages verified so far | pages written so far
 *   GUEST_PORT_WRONG_PAGE | page number     | word found            | word expected
 *
 * Both are each vCPU's own: its TSC, its counts since it started, a page of its own range. Page
 * numbers are guest-physical addresses divided by 4096. There is nothing to read from a port.
 */
#pragma once

#define GUEST_PORT_HEARTBEAT  0x510
#define GUEST_PORT_WRONG_PAGE 0x511

#define GUEST_MESSAGE_WORDS 3
