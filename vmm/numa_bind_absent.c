#include "vmm/numa_bind.h"

int numa_usable(struct error *err)
{
    return err_set(err, ERR_SYSTEM, "NUMA: this build lacks libnuma");
}

int numa_nodes_parse(const char *text, struct numa_nodes *ret, struct error *err)
{
    (void)text;
    (void)ret;
    return numa_usable(err);
}

int numa_bind_memory(const struct numa_nodes *nodes, void *host, size_t len, struct error *err)
{
    (void)nodes;
    (void)host;
    (void)len;
    return numa_usable(err);
}
