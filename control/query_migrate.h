/*
 * control/query_migrate.h: query-migrate's answer.
 */
#pragma once

#include <jansson.h>

#include "control/vm_migrate.h"

/* QEMU's members, and `channels`; the caller owns it. */
json_t *query_migrate_json(const struct vm_migration *m);
/* What would help a migration whose rounds do not shrink. */
json_t *advice_json(const struct advice *a);
