/*
 * base/cpus.h: how many CPUs this process may use, and on which of them its threads run.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

/*
 * The number of CPUs in the affinity of the calling thread, limited by the CPU quota of its cgroups
 * (cpu.max, cgroup version 2); at least 1.
 */
unsigned cpus_usable(void);
/* The CPUs that a line of cpu.max allows, rounded up: "150000 100000" is 2. "max 100000", or
 * anything else, is no limit: UINT_MAX. */
unsigned cpus_of_quota(const char *cpu_max);

/* Where threads run. Each thread gets one place: a CPU, or all CPUs of a NUMA node. */
struct cpu_places;

#define CPU_PLACES_SYNTAX "auto|numa|LIST"

/*
 * "auto": no places, *ret is NULL. "numa": the nodes on which this process may use CPUs.
 * "0-3,8": these CPUs, in this order. ERR_USAGE: none of these forms, or a CPU that does not exist
 * or that this process may not use. The caller frees *ret with cpu_places_free().
 */
MUST_USE int cpu_places_parse(const char *text, struct cpu_places **ret, struct error *err);
/* NULL is fine. */
void cpu_places_free(struct cpu_places *p);
/* Moves the calling thread to place `id` modulo the number of places. NULL: it stays. */
void cpu_places_take(const struct cpu_places *p, size_t id);
