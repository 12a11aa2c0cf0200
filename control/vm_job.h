/*
 * control/vm_job.h: what a VM's migrations out and in do alike: whether one may start, what it
 * needs to connect, and its end.
 */
#pragma once

#include "control/vm_core.h"

/* Under the lock. `address` may be NULL; `world`: facts that only the caller knows. */
MUST_USE int vm_may_start(struct vm *vm, enum moment moment, const struct address *address,
                          uint64_t world, struct error *err);
/* Under the lock. Opens the job's credentials, and passes their notices on. */
MUST_USE int vm_job_credentials(const struct vm *vm, struct job *job, bool server,
                                const struct address *address, struct error *err);
/* What both ends need to connect. A notice about the engine is dropped. */
void vm_job_connections(const struct vm *vm, const struct job *job, const struct address *address,
                        struct connect_config *ret);
/*
 * The thread's last step: what stays of the job is its result. After its last release of the lock
 * the thread does not take it again, so a thread that holds the lock may join it.
 */
void vm_job_end(struct job *job, int rc, const struct error *err);
