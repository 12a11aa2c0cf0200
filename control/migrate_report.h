/*
 * control/migrate_report.h: query-migrate's answer.
 */
#pragma once

#include "control/vm.h"

/* QEMU's members, and `channels`; the caller owns it. */
json_t *migrate_report(const struct vm_migration *m);
