/*
 * control/migrate_report.h: query-migrate's answer.
 */
#pragma once

#include "control/vm.h"

/* Members as QEMU has them, and `channels`; the caller's. */
json_t *migrate_report(const struct vm_migration *m);
