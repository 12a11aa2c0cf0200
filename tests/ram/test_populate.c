#include "ram/populate.h"

#include <dirent.h>
#include <pthread.h>

#include "tests/support/memory.h"
#include "tests/support/test.h"

static struct ram_map map;

static void make_map(void)
{
    map = (struct ram_map){0};
    memory_add(&map, "small", 1, false);
    memory_add(&map, "large", 40000, false);
    memory_add(&map, "odd", 513, false);
}

static void without_threads_it_does_nothing(void **state)
{
    struct populate *p;
    struct error err;

    (void)state;
    make_map();
    OK(populate_new(&map, 0, &p, &err), err, "new");
    populate_ahead(p, &map.blocks[1], 0);
    populate_ahead(NULL, &map.blocks[1], 0);
    populate_free(p);
    populate_free(NULL);
    ram_map_done(&map);
}

static size_t count_threads(void)
{
    DIR *d = opendir("/proc/self/task");
    size_t n = 0;

    CHECK(d, "opendir");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Pages that go to files: no memory has to be populated. */
static void without_memory_there_are_no_threads(void **state)
{
    size_t before = count_threads();
    struct populate *p;
    struct error err;

    (void)state;
    map = (struct ram_map){0};
    OK(ram_map_add(&map, "in a file", 1 << 20, &err), err, "add");
    OK(populate_new(&map, 2, &p, &err), err, "new");
    CHECK(count_threads() == before, "%zu threads, expected %zu", count_threads(), before);
    populate_ahead(p, &map.blocks[0], 0);
    populate_free(p);
    ram_map_done(&map);
}

struct walker {
    struct populate *p;
    unsigned seed;
};

/* Arriving pages: in order, backwards, and anywhere. */
static void *walk(void *arg)
{
    struct walker *w = arg;

    for (unsigned i = 0; i < 3000; i++) {
        struct ram_block *b = &map.blocks[i % map.n];
        uint64_t page = (i * 2654435761U + w->seed) % ram_block_pages(b);

        if (w->seed == 0)
            page = i * 13 % ram_block_pages(b);
        populate_ahead(w->p, b, page * RAM_PAGE_SIZE);
        /* Arriving pages are written at the same time. */
        ((volatile uint8_t *)b->host)[page * RAM_PAGE_SIZE + w->seed % RAM_PAGE_SIZE] = 1;
    }
    return NULL;
}

/* Populating keeps the contents: its threads run while pages arrive. */
static void never_changes_memory(void **state)
{
    struct walker walkers[3];
    pthread_t threads[ARRAY_LEN(walkers)];
    struct populate *p;
    struct error err;

    (void)state;
    make_map();
    struct ram_block *b = &map.blocks[2];
    memory_fill(b, 7, false);
    uint8_t *copy = malloc(b->used_bytes);
    OK(populate_new(&map, 2, &p, &err), err, "new");
    for (unsigned i = 0; i < ARRAY_LEN(walkers); i++) {
        walkers[i] = (struct walker){.p = p, .seed = i};
        pthread_create(&threads[i], NULL, walk, &walkers[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(walkers); i++)
        pthread_join(threads[i], NULL);
    memcpy(copy, b->host, b->used_bytes);
    populate_ahead(p, b, 0);
    populate_free(p);
    CHECK(memcmp(copy, b->host, b->used_bytes) == 0, "the memory has changed");
    free(copy);
    ram_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_threads_it_does_nothing),
        cmocka_unit_test(without_memory_there_are_no_threads),
        cmocka_unit_test(never_changes_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
