#include "vmm/memory_backends.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

struct backend {
    struct memory_backend_config config;
    struct ram_map memory; /* of one block; none: the machine has it */
    int fd;                /* behind it, or -1 */
};

struct memory_backends {
    struct backend *of[MEMORY_BACKENDS_MAX];
    size_t n;
};

int memory_backends_new(struct memory_backends **ret, struct error *err)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : err_sys(err, "memory for memory backends");
}

static void backend_free(struct backend *b)
{
    ram_map_done(&b->memory);
    fd_close(&b->fd);
    free(b);
}

void memory_backends_free(struct memory_backends *all)
{
    for (size_t i = 0; all && i < all->n; i++)
        backend_free(all->of[i]);
    free(all);
}

/* all->n where there is none. */
static size_t find(const struct memory_backends *all, const char *id)
{
    size_t i = 0;

    while (i < all->n && strcmp(all->of[i]->config.id, id) != 0)
        i++;
    return i;
}

static int make_memory(struct backend *b, struct error *err)
{
    const struct memory_backing_config backing = memory_backend_backing(&b->config);

    if (b->config.mapped)
        return 0;
    if (ram_map_add(&b->memory, b->config.id, b->config.bytes, err) < 0)
        return -1;
    b->memory.blocks[0].migratable = false;
    return memory_backing_map(&backing, &b->memory.blocks[0], &b->fd, err);
}

int memory_backends_add(struct memory_backends *all, const struct memory_backend_config *config,
                        struct error *err)
{
    if (find(all, config->id) < all->n)
        return err_set(err, ERR_USAGE, "memory backend '%s': there is one of this id already",
                       config->id);
    if (all->n == MEMORY_BACKENDS_MAX)
        return err_set(err, ERR_USAGE, "memory backend '%s': there are %d already, as many as go",
                       config->id, MEMORY_BACKENDS_MAX);
    struct backend *b = calloc(1, sizeof(*b));
    if (!b)
        return err_sys(err, "memory backend '%s'", config->id);
    b->config = *config;
    b->fd = -1;
    if (make_memory(b, err) < 0) {
        backend_free(b);
        return err_in(err, "memory backend '%s'", config->id);
    }
    all->of[all->n++] = b;
    return 0;
}

int memory_backends_remove(struct memory_backends *all, const char *id, struct error *err)
{
    size_t i = find(all, id);

    if (i == all->n)
        return err_set(err, ERR_USAGE, "there is no memory backend '%.60s'", id);
    if (all->of[i]->config.mapped)
        return err_set(err, ERR_USAGE,
                       "memory backend '%s': in use, it is mapped into the guest and stays there",
                       id);
    backend_free(all->of[i]);
    memmove(&all->of[i], &all->of[i + 1], (--all->n - i) * sizeof(all->of[0]));
    return 0;
}

size_t memory_backends_n(const struct memory_backends *all)
{
    return all->n;
}

const struct memory_backend_config *memory_backends_at(const struct memory_backends *all, size_t i)
{
    return &all->of[i]->config;
}

const struct memory_backend_config *memory_backends_find(const struct memory_backends *all,
                                                         const char *id)
{
    size_t i = find(all, id);

    return i < all->n ? &all->of[i]->config : NULL;
}

const struct ram_block *memory_backends_block(const struct memory_backends *all, size_t i)
{
    return all->of[i]->memory.n ? &all->of[i]->memory.blocks[0] : NULL;
}
