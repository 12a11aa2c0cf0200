#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "vmm/landing.h"

/* How long a guest stands still while memory becomes its own: so many pieces at once. */
#define STILL_NS (3 * NS_PER_MS)

struct landing_machine {
    struct landing base;
    struct machine *machine;
    struct ram_set_rules rules;
};

static struct landing_machine *landing_of(struct landing *l)
{
    return CONTAINER_OF(l, struct landing_machine, base);
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

/* What the source says of a block against what it is here. */
static int check_block(const struct ram_block *own, const struct ram_block *listed,
                       struct error *err)
{
    if (!own->migratable)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': it is not migratable here: give both machines the same "
                       "migratable=",
                       listed->name);
    if (own->used_bytes != listed->used_bytes)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': %" PRIu64 " bytes, expected %" PRIu64
                       ": give both machines the same memory",
                       listed->name, listed->used_bytes, own->used_bytes);
    return 0;
}

/* Its memory is here already: it has to be the same memory, at the same place. */
static int check_ignored(const struct ram_block *own, const struct ram_block *listed, bool located,
                         struct error *err)
{
    if (located && own->address != listed->address)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': at guest address 0x%" PRIx64 ", expected 0x%" PRIx64
                       ": give both machines the same memory",
                       listed->name, listed->address, own->address);
    return 0;
}

/* The pages go to where the guest will find them. */
static int place(const struct landing_machine *l, struct ram_block *listed, bool located,
                 struct error *err)
{
    const struct ram_block *own = ram_map_find(&l->machine->ram, listed->name);
    bool in_file = listed->travel == RAM_TRAVELS;

    if (!own)
        return err_set(err, ERR_PEER, "RAM block '%s': there is none of that name here",
                       listed->name);
    if (check_block(own, listed, err) < 0)
        return -1;
    listed->travel = ram_set_travel(own, &l->rules);
    if (listed->travel != RAM_TRAVELS)
        return check_ignored(own, listed, located, err);
    if (!in_file)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': its pages are not in the file, and it is not shared by a "
                       "file's name here: give both machines the same memory",
                       listed->name);
    listed->host = own->host;
    listed->replaceable = own->replaceable;
    l->machine->filled = true;
    return ram_block_track(listed, err);
}

static size_t n_migratable(const struct ram_map *ram)
{
    size_t n = 0;

    for (size_t i = 0; i < ram->n; i++)
        n += ram->blocks[i].migratable;
    return n;
}

static int machine_listed(struct landing *l, const struct configuration *config,
                          const struct device_state *devices, struct ram_map *ram,
                          struct error *err)
{
    const struct landing_machine *lm = landing_of(l);
    const struct machine *m = lm->machine;
    bool located = config->capabilities & STREAM_CAP_X_IGNORE_SHARED;

    (void)devices;
    if (check_config(m, config, err) < 0)
        return -1;
    if (ram->n != n_migratable(&m->ram))
        return err_set(err, ERR_PEER, "%zu RAM blocks, expected %zu", ram->n,
                       n_migratable(&m->ram));
    for (size_t i = 0; i < ram->n; i++) {
        if (place(lm, &ram->blocks[i], located, err) < 0)
            return -1;
    }
    return 0;
}

static int machine_commit(struct landing *l, const struct configuration *config,
                          const struct ram_map *ram, const struct device_state *devices,
                          struct error *err)
{
    struct machine *m = landing_of(l)->machine;

    (void)config;
    (void)ram;
    if (m->ops->load(m, devices, err) < 0)
        return -1;
    machine_resume(m, MACHINE_MOVING);
    return 0;
}

/* How long it stood still it may run: it loses half of its speed for as long as this takes. */
static int let_run(const struct cancel *cancel, uint64_t ns, struct error *err)
{
    if (cancel_poll(cancel, -1, 0, clock_ns() + ns, err) < 0 && err->sys != ETIMEDOUT)
        return -1;
    return 0;
}

/* Stopping it takes its time: then it is worth it. */
static int take_ready(struct file_mapping *mapping, struct error *err)
{
    uint64_t end = clock_ns() + STILL_NS;
    int rc;

    do {
        rc = file_mapping_take_over(mapping, err);
    } while (rc == 0 && file_mapping_is_ready(mapping) && clock_ns() < end);
    return rc;
}

static int take_some(struct machine *m, struct file_mapping *mapping, uint64_t *ret_ns,
                     struct error *err)
{
    if (file_mapping_prepare(mapping, err) < 0)
        return -1;
    uint64_t start = clock_ns();
    if (machine_stop(m, MACHINE_MOVING, err) < 0)
        return -1;
    int rc = take_ready(mapping, err);
    machine_resume(m, MACHINE_MOVING);
    *ret_ns = clock_ns() - start;
    return rc;
}

static int machine_take_over(struct landing *l, struct file_mapping *mapping,
                             const struct cancel *cancel, struct error *err)
{
    struct machine *m = landing_of(l)->machine;
    uint64_t ns;

    while (file_mapping_is_left(mapping)) {
        if (cancel_requested(cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (take_some(m, mapping, &ns, err) < 0 || let_run(cancel, ns, err) < 0)
            return -1;
    }
    return 0;
}

static void machine_landing_free(struct landing *l)
{
    free(landing_of(l));
}

static const struct landing_ops machine_ops = {
    .listed = machine_listed,
    .commit = machine_commit,
    .take_over = machine_take_over,
    .free = machine_landing_free,
};

int landing_machine_new(struct machine *m, const struct ram_set_rules *rules, struct landing **ret,
                        struct error *err)
{
    struct landing_machine *l = calloc(1, sizeof(*l));

    if (!l)
        return err_sys(err, "memory for a target");
    l->base.ops = &machine_ops;
    l->machine = m;
    l->rules = *rules;
    *ret = &l->base;
    return 0;
}
