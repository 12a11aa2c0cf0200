/*
 * tools/metrics_server.h: answers GET /metrics on a thread of its own. Its clients may be anyone: a
 * request is bounded in bytes and in time, and only a few clients are served at one time.
 */
#pragma once

#include "base/buf.h"
#include "transport/listener.h"

struct metrics_server;

/*
 * Takes the listener. write() appends the text; it is called on the server's thread, at most ten
 * times a second.
 */
MUST_USE int metrics_server_start(struct listener *listener,
                                  int (*write)(struct buf *to, struct error *err),
                                  struct metrics_server **ret, struct error *err);
/* Closes all connections. NULL is fine. */
void metrics_server_stop(struct metrics_server *s);
