#include "vmm/huge_pages.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"

/* A number that the kernel shows in the folder `where`; 0 where it shows none. */
static uint64_t shown(const char *where, uint64_t page_bytes, const char *what)
{
    char path[160], text[32] = "";

    snprintf(path, sizeof(path), "%s/hugepages-%" PRIu64 "kB/%s", where, page_bytes >> 10, what);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
        return 0;
    return strtoull(text, NULL, 10);
}

uint64_t huge_pages_free(uint64_t page_bytes)
{
    uint64_t there = shown("/sys/kernel/mm/hugepages", page_bytes, "free_hugepages");
    uint64_t promised = shown("/sys/kernel/mm/hugepages", page_bytes, "resv_hugepages");

    return there - MIN(there, promised);
}

uint64_t huge_pages_free_on(uint64_t page_bytes, const struct numa_nodes *nodes)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < NUMA_NODES_MAX; i++) {
        char where[64];

        snprintf(where, sizeof(where), "/sys/devices/system/node/node%u/hugepages", i);
        if (numa_nodes_has(nodes, i))
            sum += shown(where, page_bytes, "free_hugepages");
    }
    return sum;
}

int huge_pages_too_few(uint64_t page_bytes, uint64_t needed, uint64_t there, const char *where,
                       struct error *err)
{
    return err_set(err, ERR_SYSTEM,
                   "%" PRIu64 " huge pages of %" PRIu64 " MiB needed%s, %" PRIu64
                   " free: raise %s/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/nr_hugepages",
                   needed, page_bytes >> 20, where, there,
                   page_bytes == HUGE_2M ? "vm.nr_hugepages, which is " : "", page_bytes >> 10);
}
