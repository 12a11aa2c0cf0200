/*
 * migration/pause.h: the wait in pre-switchover: the guest is stopped, and the migration waits
 * until it is told to continue. The wait has no limit, so a peer that goes away must be noticed.
 */
#pragma once

#include "transport/channel_group.h"

struct pause {
    int fd; /* an eventfd: readable once the migration may continue; -1: none */
};

MUST_USE int pause_init(struct pause *p, struct error *err);
/* Also where pause_init() failed. */
void pause_done(struct pause *p);

/* The migration may continue. Any thread; a second call does nothing. */
void pause_end(struct pause *p);
/*
 * Waits for pause_end(). Fails with the group's error, or where the peer of the socket `watched`
 * has closed it. `watched` is -1 where another thread reads that socket.
 */
MUST_USE int pause_wait(struct pause *p, struct channel_group *group, int watched,
                        struct error *err);
