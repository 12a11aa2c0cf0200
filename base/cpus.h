/*
 * base/cpus.h: how many CPUs this process may use, and on which of them its threads run.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

/*
 * As many as the affinity of the calling thread allows, but no more than the quota of its cgroups
 * (cpu.max, version 2) is worth; at least 1.
 */
unsigned cpus_usable(void);
/* What a line of cpu.max is worth, rounded up: "150000 100000" is 2; "max 100000", or anything
 * else, is no limit: UINT_MAX. */
unsigned cpus_of_quota(const char *cpu_max);

/* Where threads are put, each on one place: a CPU, or those of a NUMA node. */
struct cpu_places;

#define CPU_PLACES_SYNTAX "auto|numa|LIST"

/*
 * "auto": nowhere in particular, *ret is NULL; "numa": the nodes that this process has CPUs of;
 * "0-3,8": these CPUs, in this order. ERR_USAGE: not such a list, or a CPU that is not there for
 * this process. For cpu_places_free().
 */
MUST_USE int cpu_places_parse(const char *text, struct cpu_places **ret, struct error *err);
/* NULL is fine. */
void cpu_places_free(struct cpu_places *p);
/* The calling thread runs on place `id`, modulo their number, from here on. NULL: it stays. */
void cpu_places_take(const struct cpu_places *p, size_t id);
