/*
 * migration/pause.h: pre-switchover: the guest is stopped, and the migration waits for somebody to
 * say that it may go on. There is no clock, so who goes away meanwhile must be noticed.
 */
#pragma once

#include "transport/channel_group.h"

struct pause {
    int fd; /* an eventfd: readable once it may go on; -1: none */
};

MUST_USE int pause_init(struct pause *p, struct error *err);
/* Also where pause_init() failed. */
void pause_done(struct pause *p);

/* It may go on. Any thread; twice is once. */
void pause_end(struct pause *p);
/*
 * Waits for pause_end(). Fails with the group's error, or where the peer of the socket `watched`
 * has closed it; -1: somebody else reads there.
 */
MUST_USE int pause_wait(struct pause *p, struct channel_group *group, int watched,
                        struct error *err);
