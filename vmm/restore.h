/*
 * vmm/restore.h: a captured VM lands again, without a connection between.
 */
#pragma once

#include "migration/machine.h"

/*
 * Brings all that `from` is, a machine whose blocks lie in files (vmm/machine_snapshot.h), to the
 * landing, the commit included. After a failure nothing has been committed.
 */
MUST_USE int restore(const struct machine *from, struct landing *to, struct error *err);
