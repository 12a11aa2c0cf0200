#include "base/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/kernel_file.h"
#include "base/units.h"

#define NODES_MAX 1024
#define NODE_CPUS "/sys/devices/system/node/node%u/cpulist"
#define CGROUPS   "/sys/fs/cgroup"

struct cpu_places {
    size_t n;
    cpu_set_t sets[];
};

/* --- how many -------------------------------------------------------------------------------- */

unsigned cpus_of_quota(const char *cpu_max)
{
    char *end;
    uint64_t quota = strtoull(cpu_max, &end, 10); /* "max" yields 0 */
    uint64_t period = strtoull(end, &end, 10);

    if (period == 0 || quota == 0)
        return UINT_MAX;
    uint64_t cpus = quota / period + (quota % period != 0);
    return cpus > UINT_MAX ? UINT_MAX : (unsigned)cpus;
}

/* The lowest quota of the cgroup and its ancestors. Overwrites `path`, which is like "/a/b". */
static unsigned quota_of_cgroup(char *path)
{
    char name[PATH_MAX + 32], text[64];
    unsigned least = UINT_MAX;
    char *end = path + strlen(path);

    while (end > path) {
        *end = 0;
        snprintf(name, sizeof(name), CGROUPS "%s/cpu.max", path);
        kernel_file_read(name, text, sizeof(text));
        least = MIN(least, cpus_of_quota(text));
        do
            end--;
        while (end > path && *end != '/');
    }
    return least;
}

static unsigned quota(void)
{
    char text[PATH_MAX] = "", *line;

    kernel_file_read("/proc/self/cgroup", text, sizeof(text));
    line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line)
        return UINT_MAX;
    char *path = strchr(line, '/');
    if (!path)
        return UINT_MAX;
    path[strcspn(path, "\n")] = 0;
    return quota_of_cgroup(path);
}

unsigned cpus_usable(void)
{
    cpu_set_t set;
    unsigned n = sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;

    return MAX(MIN(n, quota()), 1U);
}

/* --- which ----------------------------------------------------------------------------------- */

/* The state while places are built. */
struct making {
    cpu_set_t allowed;
    struct cpu_places *places; /* has room for one more than n: the set being built */
    unsigned long refused;     /* the CPU that we may not use; CPU_SETSIZE: none */
};

/* Adds the set at places->n to the places, and makes room for the next set after it. */
static bool keep_place(struct making *m)
{
    size_t n = m->places->n + 1;
    struct cpu_places *more = realloc(m->places, sizeof(*more) + (n + 1) * sizeof(more->sets[0]));

    if (!more)
        return false;
    m->places = more;
    more->n = n;
    CPU_ZERO(&more->sets[n]);
    return true;
}

static bool one_cpu(void *arg, unsigned long cpu)
{
    struct making *m = arg;

    if (!CPU_ISSET(cpu, &m->allowed)) {
        m->refused = cpu;
        return false;
    }
    CPU_SET(cpu, &m->places->sets[m->places->n]);
    return keep_place(m);
}

static bool of_node(void *arg, unsigned long cpu)
{
    struct making *m = arg;

    if (CPU_ISSET(cpu, &m->allowed))
        CPU_SET(cpu, &m->places->sets[m->places->n]);
    return true;
}

static int make_list(struct making *m, const char *text, struct error *err)
{
    if (parse_list(text, CPU_SETSIZE - 1, one_cpu, m))
        return 0;
    if (m->refused < CPU_SETSIZE)
        return err_set(err, ERR_USAGE, "CPU %lu does not exist, or this process may not use it",
                       m->refused);
    return err_set(err, ERR_USAGE, "CPUs '%.60s', expected auto, numa, or a list as in 0-3,8",
                   text);
}

static int make_nodes(struct making *m, struct error *err)
{
    char path[64], list[4096];

    for (unsigned node = 0; node < NODES_MAX; node++) {
        snprintf(path, sizeof(path), NODE_CPUS, node);
        kernel_file_read(path, list, sizeof(list));
        list[strcspn(list, "\n")] = 0;
        (void)!parse_list(list, CPU_SETSIZE - 1, of_node, m);
        if (CPU_COUNT(&m->places->sets[m->places->n]) > 0 && !keep_place(m))
            return err_sys(err, "memory for NUMA nodes");
    }
    if (m->places->n == 0)
        return err_set(err, ERR_SYSTEM, "NUMA: this kernel shows no nodes with CPUs");
    return 0;
}

int cpu_places_parse(const char *text, struct cpu_places **ret, struct error *err)
{
    struct making m = {.refused = CPU_SETSIZE};

    *ret = NULL;
    if (strcmp(text, "auto") == 0)
        return 0;
    m.places = calloc(1, sizeof(*m.places) + sizeof(m.places->sets[0]));
    if (!m.places || sched_getaffinity(0, sizeof(m.allowed), &m.allowed) < 0) {
        err_sys(err, "the CPUs of this process");
        free(m.places);
        return -1;
    }
    int rc = strcmp(text, "numa") == 0 ? make_nodes(&m, err) : make_list(&m, text, err);
    if (rc < 0)
        free(m.places);
    else
        *ret = m.places;
    return rc;
}

void cpu_places_free(struct cpu_places *p)
{
    free(p);
}

void cpu_places_take(const struct cpu_places *p, size_t id)
{
    if (p) /* fails if the CPU has since gone offline: the thread then stays where it is */
        sched_setaffinity(0, sizeof(p->sets[0]), &p->sets[id % p->n]);
}
