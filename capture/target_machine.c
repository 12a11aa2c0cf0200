#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "capture/target.h"

/* How long the guest is paused at a time while pieces of a file's memory become its own. */
#define STILL_NS (3 * NS_PER_MS)

struct target_machine {
    struct target base;
    struct machine *machine;
    struct ram_set_rules rules;
    bool shares; /* it has memory that the source may have, too */
};

static struct target_machine *target_of(struct target *l)
{
    return CONTAINER_OF(l, struct target_machine, base);
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

/* Compares a block as the source lists it with the block here. */
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

/* Whether the memory itself comes, by descriptors: then it is the source's memory. */
static bool is_handed_over(const struct target_machine *l)
{
    return l->rules.mode == MODE_CPR_TRANSFER || l->rules.mode == MODE_CPR_EXEC;
}

/* The block's memory is here already: it must be the source's memory, at the same address. */
static int check_ignored(const struct target_machine *l, const struct ram_block *own,
                         const struct ram_block *listed, uint32_t said, struct error *err)
{
    bool located = said & STREAM_CAP_X_IGNORE_SHARED;

    if (!is_handed_over(l) && !own->kept)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': its memory is new here, expected the source's: start this "
                       "VM with x-ignore-shared on and the source's file",
                       listed->name);
    if (said & STREAM_CAP_MAPPED_RAM && listed->travel == RAM_TRAVELS)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': its pages are in the file, expected none: here its memory "
                       "is shared by a file's name",
                       listed->name);
    if (located && own->address != listed->address)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': at guest address 0x%" PRIx64 ", expected 0x%" PRIx64
                       ": give both machines the same memory",
                       listed->name, listed->address, own->address);
    return 0;
}

/* The block's pages come: they must not overwrite memory that another guest may have. */
static int check_travels(const struct ram_block *own, const struct ram_block *listed,
                         struct error *err)
{
    if (listed->travel != RAM_TRAVELS)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': its pages are not in the file, and it is not shared by a "
                       "file's name here: give both machines the same memory",
                       listed->name);
    if (own->kept)
        return err_set(err, ERR_PEER,
                       "RAM block '%s': its pages come, but its file was opened as it is, for "
                       "x-ignore-shared: set that at both ends, or neither",
                       listed->name);
    return 0;
}

/* Connects a listed block with the block of the machine, so that its pages go there. */
static int place(const struct target_machine *l, struct ram_block *listed, uint32_t said,
                 struct error *err)
{
    const struct ram_block *own = ram_map_find(&l->machine->ram, listed->name);

    if (!own)
        return err_set(err, ERR_PEER, "RAM block '%s': there is none of that name here",
                       listed->name);
    if (check_block(own, listed, err) < 0)
        return -1;
    if (ram_set_travel(own, &l->rules) == RAM_IGNORED) {
        if (check_ignored(l, own, listed, said, err) < 0)
            return -1;
        listed->travel = RAM_IGNORED;
        return 0;
    }
    if (check_travels(own, listed, err) < 0)
        return -1;
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

static int machine_listed(struct target *l, const struct configuration *config,
                          const struct device_state *devices, struct ram_map *ram,
                          struct error *err)
{
    const struct target_machine *lm = target_of(l);
    const struct machine *m = lm->machine;

    (void)devices;
    if (check_config(m, config, err) < 0)
        return -1;
    for (size_t i = 0; i < ram->n; i++) {
        if (place(lm, &ram->blocks[i], config->capabilities, err) < 0)
            return -1;
    }
    if (ram->n != n_migratable(&m->ram))
        return err_set(err, ERR_PEER, "%zu RAM blocks, expected %zu", ram->n,
                       n_migratable(&m->ram));
    return 0;
}

/* The memory of a block that the source has left out must be here already. */
static int check_left_out(const struct target_machine *l, const struct ram_map *ram,
                          struct error *err)
{
    for (size_t i = 0; i < ram->n; i++) {
        const struct ram_block *b = &ram->blocks[i];
        const struct ram_block *own = ram_map_find(&l->machine->ram, b->name);

        if (b->travel == RAM_IGNORED && ram_set_travel(own, &l->rules) == RAM_TRAVELS)
            return err_set(err, ERR_PEER,
                           "RAM block '%s': the source has left it out, but here it is not shared "
                           "by a file's name: give both machines the same memory",
                           b->name);
    }
    return 0;
}

static int machine_prepare(struct target *l, const struct configuration *config,
                           const struct ram_map *ram, const struct device_state *devices,
                           struct error *err)
{
    struct target_machine *lm = target_of(l);

    (void)config;
    lm->shares = ram_set_any_ignored(ram);
    if (check_left_out(lm, ram, err) < 0)
        return -1;
    return lm->machine->ops->load(lm->machine, devices, err);
}

/* From here on no other guest may run on this machine's memory. */
static int machine_commit(struct target *l, struct error *err)
{
    const struct target_machine *lm = target_of(l);

    if (lm->shares && machine_activate(lm->machine, err) < 0)
        return -1;
    machine_resume(lm->machine, MACHINE_MOVING);
    return 0;
}

/* Lets the guest run for as long as it was just paused: it keeps at least half of its speed. */
static int let_run(const struct cancel *cancel, uint64_t ns, struct error *err)
{
    if (cancel_poll(cancel, -1, 0, clock_ns() + ns, err) < 0 && err->sys != ETIMEDOUT)
        return -1;
    return 0;
}

/* Stopping the guest takes time, so each pause takes over more than one piece. */
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

static int machine_take_over(struct target *l, struct file_mapping *mapping,
                             const struct cancel *cancel, struct error *err)
{
    struct machine *m = target_of(l)->machine;
    uint64_t ns;

    while (file_mapping_is_left(mapping)) {
        if (cancel_requested(cancel))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (take_some(m, mapping, &ns, err) < 0 || let_run(cancel, ns, err) < 0)
            return -1;
    }
    return 0;
}

static void machine_landing_free(struct target *l)
{
    free(target_of(l));
}

static const struct target_ops machine_ops = {
    .listed = machine_listed,
    .prepare = machine_prepare,
    .commit = machine_commit,
    .take_over = machine_take_over,
    .free = machine_landing_free,
};

int target_machine_new(struct machine *m, const struct ram_set_rules *rules, struct target **ret,
                       struct error *err)
{
    if (!m || !m->ops || !m->ops->load)
        return err_set(err, ERR_USAGE,
                       "this machine cannot load devices: it cannot be a destination");
    struct target_machine *l = calloc(1, sizeof(*l));
    if (!l)
        return err_sys(err, "memory for a target");
    l->base.ops = &machine_ops;
    l->machine = m;
    l->rules = *rules;
    *ret = &l->base;
    return 0;
}
