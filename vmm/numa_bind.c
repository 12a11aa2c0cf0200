#include "vmm/numa_bind.h"

#include <ctype.h>
#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <stdlib.h>

int numa_usable(struct error *err)
{
    if (numa_available() < 0)
        return err_set(err, ERR_SYSTEM, "NUMA: this kernel knows no nodes");
    return 0;
}

static int bad_list(const char *text, struct error *err)
{
    return err_set(err, ERR_USAGE, "NUMA nodes '%s', expected a list as in 0,2-3", text);
}

/* Digits alone: strtoul takes signs and spaces, too. */
static int parse_node(const char **at, unsigned long *ret)
{
    char *end;

    if (!isdigit((unsigned char)**at))
        return -1;
    *ret = strtoul(*at, &end, 10);
    *at = end;
    return 0;
}

static int parse_range(const char **at, unsigned long *ret_first, unsigned long *ret_last)
{
    if (parse_node(at, ret_first) < 0)
        return -1;
    *ret_last = *ret_first;
    if (**at != '-')
        return 0;
    ++*at;
    return parse_node(at, ret_last) < 0 || *ret_last < *ret_first ? -1 : 0;
}

static int add_node(struct numa_nodes *nodes, const struct bitmask *allowed, unsigned long node,
                    struct error *err)
{
    size_t bits = 8 * sizeof(nodes->words[0]);

    if (node >= NUMA_NODES_MAX || !numa_bitmask_isbitset(allowed, (unsigned)node))
        return err_set(err, ERR_USAGE, "NUMA node %lu is not there, or not for this process", node);
    nodes->words[node / bits] |= 1UL << node % bits;
    return 0;
}

static int parse_list(const char *text, const struct bitmask *allowed, struct numa_nodes *nodes,
                      struct error *err)
{
    const char *at = text;

    for (;;) {
        unsigned long node, last;

        if (parse_range(&at, &node, &last) < 0)
            return bad_list(text, err);
        for (; node <= last; node++) {
            if (add_node(nodes, allowed, node, err) < 0)
                return -1;
        }
        if (*at != ',')
            return *at ? bad_list(text, err) : 0;
        at++;
    }
}

int numa_nodes_parse(const char *text, struct numa_nodes *ret, struct error *err)
{
    struct numa_nodes nodes = {0};

    if (numa_usable(err) < 0)
        return -1;
    struct bitmask *allowed = numa_get_mems_allowed();
    int rc = parse_list(text, allowed, &nodes, err);
    numa_bitmask_free(allowed);
    if (rc == 0)
        *ret = nodes;
    return rc;
}

int numa_bind_memory(const struct numa_nodes *nodes, void *host, size_t len, struct error *err)
{
    /* The kernel takes one bit less than it is told of. */
    if (mbind(host, len, MPOL_BIND, nodes->words, NUMA_NODES_MAX + 1, 0) < 0)
        return err_sys(err, "NUMA: binding memory to its nodes");
    return 0;
}
