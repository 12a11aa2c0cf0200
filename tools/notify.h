/*
 * tools/notify.h: tells the service manager how the program is, by sd_notify(3)'s protocol: a
 * datagram of lines such as "READY=1" to the socket in NOTIFY_SOCKET.
 */
#pragma once

#include "base/macros.h"

/*
 * Does nothing where there is no NOTIFY_SOCKET. A message that cannot be sent is lost: the manager
 * has a time limit of its own for what it waits for. Any thread.
 */
void notify(const char *fmt, ...) PRINTF(1, 2);
