/*
 * tools/metrics_query.h: the figures that a VM's monitor tells, for metrics: of a migration between
 * two other processes.
 */
#pragma once

#include <jansson.h>

#include "drive/drive_config.h"
#include "migration/stats.h"

/* Reads query-migrate's answer, which may come from any VM: what it lacks is 0. */
void metrics_query_read(const json_t *migration, struct migration_snapshot *ret);

/* Who else watches. */
struct metrics_query {
    void (*watch)(void *arg, json_t *migration);
    void *arg;
};
/* Puts itself before the watcher of `config`. `q` must live as long. */
void metrics_query_watch(struct metrics_query *q, struct drive_config *config);
