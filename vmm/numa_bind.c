#include "vmm/numa_bind.h"

#include <errno.h>
#include <limits.h>
#include <numa.h>
#include <numaif.h>

#include "base/units.h"

int numa_usable(struct error *err)
{
    if (numa_available() < 0)
        return err_set(err, ERR_SYSTEM, "NUMA: this kernel knows no nodes");
    return 0;
}

/* The state while a list is read. */
struct reading {
    const struct bitmask *allowed;
    struct numa_nodes nodes;
    bool refused;
    unsigned long node; /* the one that was refused */
};

static bool add_node(void *arg, unsigned long node)
{
    struct reading *r = arg;
    size_t bits = 8 * sizeof(r->nodes.words[0]);

    r->refused = node >= NUMA_NODES_MAX || !numa_bitmask_isbitset(r->allowed, (unsigned)node);
    r->node = node;
    if (!r->refused)
        r->nodes.words[node / bits] |= 1UL << node % bits;
    return !r->refused;
}

int numa_nodes_parse(const char *text, struct numa_nodes *ret, struct error *err)
{
    struct reading r = {0};

    if (numa_usable(err) < 0)
        return -1;
    struct bitmask *allowed = numa_get_mems_allowed();
    r.allowed = allowed;
    bool taken = parse_list(text, ULONG_MAX, add_node, &r);
    numa_bitmask_free(allowed);
    if (r.refused)
        return err_set(err, ERR_USAGE,
                       "NUMA node %lu does not exist, or this process may not use it", r.node);
    if (!taken)
        return err_set(err, ERR_USAGE, "NUMA nodes '%s', expected a list as in 0,2-3", text);
    *ret = r.nodes;
    return 0;
}

int numa_bind_memory(const struct numa_nodes *nodes, void *host, size_t len, struct error *err)
{
    /* The kernel reads one bit less than the number that it is given. */
    if (mbind(host, len, MPOL_BIND, nodes->words, NUMA_NODES_MAX + 1, 0) < 0)
        return err_sys(err, "NUMA: binding memory to its nodes");
    return 0;
}
