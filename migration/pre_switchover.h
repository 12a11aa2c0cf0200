/*
 * migration/pre_switchover.h: the wait in pre-switchover: the guest is stopped, and the migration
 * waits until it is told to continue. The wait has no limit, so a peer that goes away must be
 * noticed.
 */
#pragma once

#include "transport/channel_group.h"

struct pre_switchover {
    int fd; /* an eventfd: readable once the migration may continue; -1: none */
};

MUST_USE int pre_switchover_init(struct pre_switchover *p, struct error *err);
/* Also where pre_switchover_init() failed. */
void pre_switchover_done(struct pre_switchover *p);

/* The migration may continue. Any thread; a second call does nothing. */
void pre_switchover_end(struct pre_switchover *p);
/*
 * Waits for pre_switchover_end(). Fails with the group's error, or where the peer of the socket
 * `watched` has closed it. `watched` is -1 where another thread reads that socket.
 */
MUST_USE int pre_switchover_wait(struct pre_switchover *p, struct channel_group *group, int watched,
                                 struct error *err);
