/*
 * vmm/numa_bind.h: memory on chosen NUMA nodes, by libnuma. numa_bind_absent.c is the build without
 * that library.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define NUMA_NODES_MAX 1024

struct numa_nodes {
    unsigned long words[NUMA_NODES_MAX / (8 * sizeof(unsigned long))];
};

static inline bool numa_nodes_has(const struct numa_nodes *n, unsigned node)
{
    size_t bits = 8 * sizeof(n->words[0]);

    return n->words[node / bits] >> node % bits & 1;
}

/* 0 where this build and this kernel can; otherwise ERR_SYSTEM says why not. */
MUST_USE int numa_usable(struct error *err);
/* Reads "0,2-3". ERR_USAGE: not such a list, or a node that this process cannot use. */
MUST_USE int numa_nodes_parse(const char *text, struct numa_nodes *ret, struct error *err);
/* Pages that are touched from now on come from these nodes only; pages of shared memory also where
 * other processes touch them. */
MUST_USE int numa_bind_memory(const struct numa_nodes *nodes, void *host, size_t len,
                              struct error *err);
