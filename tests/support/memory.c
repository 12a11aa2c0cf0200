#include "tests/support/memory.h"

#include "tests/support/test.h"

struct ram_block *memory_add(struct ram_map *map, const char *name, uint64_t n_pages, bool track)
{
    struct error err;

    OK(ram_map_add(map, name, n_pages * RAM_PAGE_SIZE, &err), err, name);
    struct ram_block *b = &map->blocks[map->n - 1];
    OK(ram_block_map_anonymous(b, &err), err, name);
    if (track)
        OK(ram_block_track(b, &err), err, name);
    return b;
}

void memory_fill(struct ram_block *b, unsigned seed, bool zeros)
{
    for (uint64_t page = 0; page < ram_block_pages(b); page++) {
        uint32_t *words = (uint32_t *)(b->host + page * RAM_PAGE_SIZE);

        if (zeros && page % 3 == 1)
            continue;
        for (size_t i = 0; i < RAM_PAGE_SIZE / sizeof(*words); i += 16)
            words[i] = (uint32_t)((page + 1) * 2654435761U + seed * 40503U + i) | 1;
    }
}

void memory_like(struct ram_map *to, const struct ram_map *from)
{
    for (size_t i = 0; i < from->n; i++)
        memory_add(to, from->blocks[i].name, ram_block_pages(&from->blocks[i]), true);
}

void memory_check_equal(const char *label, const struct ram_map *a, const struct ram_map *b)
{
    CHECK(a->n == b->n, "%s: %zu blocks, expected %zu", label, b->n, a->n);
    for (size_t i = 0; i < a->n; i++) {
        const struct ram_block *x = &a->blocks[i], *y = &b->blocks[i];

        CHECK(strcmp(x->name, y->name) == 0, "%s: block %zu is %s, expected %s", label, i, y->name,
              x->name);
        CHECK(x->used_bytes == y->used_bytes, "%s: block %s has another length", label, x->name);
        for (uint64_t page = 0; page < ram_block_pages(x); page++) {
            CHECK(memcmp(x->host + page * RAM_PAGE_SIZE, y->host + page * RAM_PAGE_SIZE,
                         RAM_PAGE_SIZE) == 0,
                  "%s: block %s: page %llu differs", label, x->name, (unsigned long long)page);
        }
    }
}

void round_set_all(struct ram_round *r)
{
    for (size_t i = 0; i < r->map->n; i++)
        dirty_bitmap_set_all(&r->dirty[i]);
}

static int on_listed(struct ram_load *load, struct error *err)
{
    return ram_map_anonymous(load->map, err);
}

static int on_barrier(struct ram_load *load, bool word, struct error *err)
{
    (void)load;
    (void)word;
    (void)err;
    return 0;
}

const struct ram_load_ops memory_load_ops = {.listed = on_listed, .barrier = on_barrier};
