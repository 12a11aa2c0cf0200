#include "vmm/memory_backends.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

struct backend {
    struct memory_backend_config config;
    struct ram_map memory; /* of one block; empty: the machine has the memory */
    int fd;                /* of its memory, or -1 */
};

struct memory_backends {
    pthread_mutex_t lock; /* taken to change the rest, and to read it on other threads */
    struct backend *of[MEMORY_BACKENDS_MAX];
    size_t n;
};

int memory_backends_new(struct memory_backends **ret, struct error *err)
{
    *ret = calloc(1, sizeof(**ret));
    if (!*ret)
        return err_sys(err, "memory for memory backends");
    pthread_mutex_init(&(*ret)->lock, NULL);
    return 0;
}

static void backend_free(struct backend *b)
{
    ram_map_done(&b->memory);
    fd_close(&b->fd);
    free(b);
}

void memory_backends_free(struct memory_backends *all)
{
    if (!all)
        return;
    for (size_t i = 0; i < all->n; i++)
        backend_free(all->of[i]);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

/* The index of a backend; all->n where there is none of this id. */
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
        return err_set(err, ERR_USAGE,
                       "memory backend '%s': there are %d already, the most that there can be",
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
    pthread_mutex_lock(&all->lock);
    all->of[all->n++] = b;
    pthread_mutex_unlock(&all->lock);
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
    pthread_mutex_lock(&all->lock);
    backend_free(all->of[i]);
    memmove(&all->of[i], &all->of[i + 1], (--all->n - i) * sizeof(all->of[0]));
    pthread_mutex_unlock(&all->lock);
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

/* Calls `call` for each descriptor; those of mapped backends are the machine's. */
static void each_file(struct memory_backends *all, void (*call)(int fd))
{
    pthread_mutex_lock(&all->lock);
    for (size_t i = 0; i < all->n; i++) {
        if (all->of[i]->fd >= 0)
            call(all->of[i]->fd);
    }
    pthread_mutex_unlock(&all->lock);
}

void memory_backends_deactivate(struct memory_backends *all)
{
    each_file(all, memory_backing_deactivate);
}

static void claim(int fd)
{
    struct error ignored; /* active in another process: that is fine, no guest uses it here */

    (void)!memory_backing_activate(fd, &ignored);
}

void memory_backends_activate(struct memory_backends *all)
{
    each_file(all, claim);
}
