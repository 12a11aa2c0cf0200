#include <stdlib.h>

#include "capture/target.h"

static int null_listed(struct target *l, const struct configuration *config,
                       const struct device_state *devices, struct ram_map *ram, struct error *err)
{
    (void)l;
    (void)config;
    (void)devices;
    return ram_map_anonymous(ram, err);
}

static void null_free(struct target *l)
{
    free(l);
}

static const struct target_ops null_ops = {
    .bears_postcopy = true,
    .listed = null_listed,
    .free = null_free,
};

int target_null_new(struct target **ret, struct error *err)
{
    struct target *l = calloc(1, sizeof(*l));

    if (!l)
        return err_sys(err, "memory for a target");
    l->ops = &null_ops;
    *ret = l;
    return 0;
}
