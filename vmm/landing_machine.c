#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/landing.h"

struct landing_machine {
    struct landing base;
    struct machine *machine;
};

static struct machine *machine_of(struct landing *l)
{
    return CONTAINER_OF(l, struct landing_machine, base)->machine;
}

static int check_config(const struct machine *m, const struct configuration *config,
                        struct error *err)
{
    if (strcmp(config->machine, m->config.machine) != 0)
        return err_set(err, ERR_PEER, "machine type: found '%s', expected '%s'", config->machine,
                       m->config.machine);
    if (config->has_uuid && m->config.has_uuid)
        return uuid_expect(&config->uuid, &m->config.uuid, "configuration/uuid", err);
    return 0;
}

/* The pages go to where the guest will find them. */
static int place(const struct machine *m, struct ram_block *listed, struct error *err)
{
    const struct ram_block *own = ram_map_find(&m->ram, listed->name);

    if (!own)
        return err_set(err, ERR_PEER, "RAM block '%s': there is none of that name here",
                       listed->name);
    if (own->used_bytes != listed->used_bytes)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': %" PRIu64 " bytes, expected %" PRIu64
                       ": give both machines the same memory",
                       listed->name, listed->used_bytes, own->used_bytes);
    listed->host = own->host;
    return ram_block_track(listed, err);
}

static int machine_listed(struct landing *l, const struct configuration *config,
                          const struct device_state *devices, struct ram_map *ram,
                          struct error *err)
{
    struct machine *m = machine_of(l);

    (void)devices;
    if (check_config(m, config, err) < 0)
        return -1;
    if (ram->n != m->ram.n)
        return err_set(err, ERR_PEER, "%zu RAM blocks, expected %zu", ram->n, m->ram.n);
    for (size_t i = 0; i < ram->n; i++) {
        if (place(m, &ram->blocks[i], err) < 0)
            return -1;
    }
    m->filled = true;
    return 0;
}

static int machine_commit(struct landing *l, const struct configuration *config,
                          const struct ram_map *ram, const struct device_state *devices,
                          struct error *err)
{
    struct machine *m = machine_of(l);

    (void)config;
    (void)ram;
    if (m->ops->load(m, devices, err) < 0)
        return -1;
    machine_resume(m, MACHINE_MOVING);
    return 0;
}

static void machine_landing_free(struct landing *l)
{
    free(CONTAINER_OF(l, struct landing_machine, base));
}

static const struct landing_ops machine_ops = {
    .listed = machine_listed,
    .commit = machine_commit,
    .free = machine_landing_free,
};

int landing_machine_new(struct machine *m, struct landing **ret, struct error *err)
{
    struct landing_machine *l = calloc(1, sizeof(*l));

    if (!l)
        return err_sys(err, "memory for a target");
    l->base.ops = &machine_ops;
    l->machine = m;
    *ret = &l->base;
    return 0;
}
