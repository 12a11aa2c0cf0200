#include <stdlib.h>

#include "capture/target.h"
#include "migration/measurement.h"

/* Nothing is kept: the pages go through a buffer of their channel. */
struct target_measure {
    struct target base;
    struct ram_store_ops store; /* of every block: leads from a block to this target */
    const struct ram_map *map;
    struct measurement *into;
};

static int measure_write(struct ram_block *b, uint64_t offset, const void *bytes, size_t len,
                         struct error *err)
{
    const struct target_measure *t = CONTAINER_OF(b->store, const struct target_measure, store);

    (void)err;
    measurement_pages(t->into, (size_t)(b - t->map->blocks), offset, bytes, len);
    return 0;
}

static int measure_clear(struct ram_block *b, uint64_t offset, size_t len, struct error *err)
{
    (void)b;
    (void)offset;
    (void)len;
    (void)err;
    return 0;
}

static int measure_read(struct ram_block *b, uint64_t offset, void *bytes, size_t len,
                        struct error *err)
{
    (void)offset;
    (void)bytes;
    (void)len;
    return err_set(err, ERR_USAGE, "RAM block '%s': its pages were not kept", b->name);
}

static int measure_listed(struct target *l, const struct configuration *config,
                          const struct device_state *devices, struct ram_map *ram,
                          struct error *err)
{
    struct target_measure *t = CONTAINER_OF(l, struct target_measure, base);

    (void)config;
    (void)devices;
    t->map = ram;
    for (size_t i = 0; i < ram->n; i++) {
        ram->blocks[i].store = &t->store;
        if (ram_block_track(&ram->blocks[i], err) < 0)
            return -1;
    }
    return 0;
}

static void measure_free(struct target *l)
{
    free(CONTAINER_OF(l, struct target_measure, base));
}

static const struct target_ops measure_ops = {
    .listed = measure_listed,
    .free = measure_free,
};

int target_measure_new(struct measurement *into, struct target **ret, struct error *err)
{
    struct target_measure *t = calloc(1, sizeof(*t));

    if (!t)
        return err_sys(err, "memory for a target");
    t->base.ops = &measure_ops;
    t->store = (struct ram_store_ops){
        .write = measure_write, .clear = measure_clear, .read = measure_read};
    t->into = into;
    *ret = &t->base;
    return 0;
}
