#include "vmm/dirty_uffd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "ram/resident.h"
#include "tests/support/backings.h"
#include "tests/support/dirty_trial.h"
#include "tests/support/memory.h"
#include "tests/support/test.h"

#define MIB (UINT64_C(1) << 20)

/* The bit of /proc/self/pagemap for "write-protected by userfaultfd". */
#define PAGEMAP_PROTECTED (UINT64_C(1) << 57)

static struct dirty_source *source_of(const struct ram_map *map)
{
    struct dirty_source *s;
    struct error err;

    OK(dirty_uffd_new(map, &s, &err), err, "source");
    return s;
}

static void start(struct dirty_source *s)
{
    struct error err;

    OK(s->ops->start(s, &err), err, "start");
}

static bool is_set(const struct dirty_bitmap *d, uint64_t page)
{
    return d->words[page / 64] >> page % 64 & 1;
}

static void clear(struct dirty_bitmap *d)
{
    for (uint64_t w = 0; w < dirty_bitmap_words(d); w++)
        dirty_bitmap_take(d, w);
}

/* What must hold for every source, with memory of every kind. */
static void loses_no_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < BACKING_CASES; i++) {
        const struct backing_case *c = &backing_cases[i];
        bool large = c->huge_bytes > 2 * MIB; /* each round copies all pages that were touched */
        struct backing memory;

        if (!backing_make(c, 32 * MIB, &memory))
            continue;
        struct dirty_source *s = source_of(&memory.map);
        for (unsigned time = 0; time < 2; time++) {
            struct writers *w = writers_start(&memory.map, 2);

            writers_progress(w); /* some pages exist, and some do not */
            uint64_t pages = dirty_trial_run(&(struct dirty_trial){
                .label = c->label,
                .source = s,
                .map = &memory.map,
                .rounds = large ? 5 : 15,
                .progress = writers_progress,
                .settle = writers_settle,
                .arg = w,
            });
            CHECK(pages > 0, "%s: nothing was written", c->label);
            writers_free(w);
        }
        dirty_uffd_free(s);
        backing_done(&memory);
    }
}

/* Two blocks of one map; the same threads write to both. */
static void knows_several_blocks(void **state)
{
    struct ram_map map = {0};

    (void)state;
    memory_add(&map, "large", 9000, false);
    memory_add(&map, "small", 70, false);
    struct dirty_source *s = source_of(&map);
    struct writers *w = writers_start(&map, 2);
    dirty_trial_run(&(struct dirty_trial){
        .label = "two blocks",
        .source = s,
        .map = &map,
        .rounds = 20,
        .progress = writers_progress,
        .settle = writers_settle,
        .arg = w,
    });
    writers_free(w);
    dirty_uffd_free(s);
    ram_map_done(&map);
}

/* With small pages, only written pages are dirty: pages that were only read are not, fresh or
 * not. */
static void tells_only_what_was_written(void **state)
{
    static const uint64_t pages[] = {0, 1, 511, 512, 700, 4095, 16383, 16384, 20479};

    (void)state;
    for (size_t i = 0; i < BACKING_CASES; i++) {
        const struct backing_case *c = &backing_cases[i];
        struct backing memory;

        if (c->huge_bytes || !backing_make(c, 80 * MIB, &memory))
            continue;
        struct ram_block *b = &memory.map.blocks[0];
        struct dirty_bitmap *d = dirty_trial_bitmaps(&memory.map);
        struct dirty_source *s = source_of(&memory.map);

        memset(b->host, 1, b->used_bytes);
        start(s);
        CHECK(dirty_trial_sync(s, &memory.map, d) == 0, "%s: nothing was written", c->label);
        for (size_t n = 0; n < ARRAY_LEN(pages); n++)
            b->host[pages[n] * RAM_PAGE_SIZE + n] = 2;
        (void)((volatile uint8_t *)b->host)[100 * RAM_PAGE_SIZE];
        uint64_t n_dirty = dirty_trial_sync(s, &memory.map, d);
        /* A write unmaps a file system's huge page: its other pages count as dirty, too. */
        bool on_disk = strcmp(c->text, "file:") == 0 && !c->folder;
        CHECK(n_dirty == ARRAY_LEN(pages) || on_disk, "%s: %" PRIu64 " pages", c->label, n_dirty);
        for (size_t n = 0; n < ARRAY_LEN(pages); n++)
            CHECK(is_set(&d[0], pages[n]), "%s: page %" PRIu64, c->label, pages[n]);
        clear(&d[0]);
        CHECK(dirty_trial_sync(s, &memory.map, d) == 0, "%s: told once", c->label);
        b->host[0] = 3; /* armed again */
        CHECK(dirty_trial_sync(s, &memory.map, d) == 1 && is_set(&d[0], 0), "%s: twice", c->label);
        dirty_uffd_free(s);
        dirty_trial_bitmaps_free(&memory.map, d);
        backing_done(&memory);
    }
}

/* The kernel writes into memory when it reads a file or socket. */
static void notices_the_kernel(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "m", 1024, false);
    struct dirty_bitmap *d = dirty_trial_bitmaps(&map);
    struct dirty_source *s = source_of(&map);
    AUTO_FD int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

    (void)state;
    memset(b->host, 1, b->used_bytes);
    start(s);
    CHECK(read(fd, b->host + 5 * RAM_PAGE_SIZE, 2 * RAM_PAGE_SIZE) == 2 * RAM_PAGE_SIZE, "read");
    CHECK(dirty_trial_sync(s, &map, d) == 2 && is_set(&d[0], 5) && is_set(&d[0], 6), "%" PRIu64,
          dirty_bitmap_count(&d[0]));
    dirty_uffd_free(s);
    dirty_trial_bitmaps_free(&map, d);
    ram_map_done(&map);
}

/* After the start, memory that was never touched still does not exist; its first write is
 * noticed. */
static void leaves_absent_memory_alone(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "m", 200000, false);
    struct dirty_bitmap *d = dirty_trial_bitmaps(&map);
    struct dirty_source *s = source_of(&map);
    struct error err;

    (void)state;
    b->host[0] = 1;
    start(s);
    OK(ram_resident(b, &d[0], &err), err, "resident");
    CHECK(is_set(&d[0], 0) && dirty_bitmap_count(&d[0]) <= 512, "%" PRIu64 " pages exist",
          dirty_bitmap_count(&d[0]));
    clear(&d[0]);
    b->host[UINT64_C(150000) * RAM_PAGE_SIZE] = 1;
    dirty_trial_sync(s, &map, d);
    CHECK(is_set(&d[0], 150000), "its first write was lost");
    dirty_uffd_free(s);
    dirty_trial_bitmaps_free(&map, d);
    ram_map_done(&map);
}

static uint64_t protected_pages(const struct ram_block *b)
{
    AUTO_FD int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t n = 0;

    for (uint64_t page = 0; page < ram_block_pages(b); page++) {
        uint64_t entry;
        off_t at = (off_t)(((uintptr_t)b->host / RAM_PAGE_SIZE + page) * sizeof(entry));

        CHECK(pread(fd, &entry, sizeof(entry), at) == sizeof(entry), "pagemap");
        n += (entry & PAGEMAP_PROTECTED) != 0;
    }
    return n;
}

/* After the stop, no page costs a writer a fault any more. */
static void stops(void **state)
{
    (void)state;
    for (size_t i = 0; i < BACKING_CASES; i++) {
        struct backing memory;

        if (!backing_make(&backing_cases[i], 8 * MIB, &memory))
            continue;
        struct ram_block *b = &memory.map.blocks[0];
        struct dirty_source *s = source_of(&memory.map);

        s->ops->stop(s); /* without a start */
        memset(b->host, 1, b->used_bytes);
        start(s);
        CHECK(protected_pages(b) == ram_block_pages(b), "%s: %" PRIu64 " pages are armed",
              backing_cases[i].label, protected_pages(b));
        s->ops->stop(s);
        CHECK(protected_pages(b) == 0, "%s: %" PRIu64 " pages are still armed",
              backing_cases[i].label, protected_pages(b));
        s->ops->stop(s);
        start(s);
        start(s); /* a new start begins from nothing */
        dirty_uffd_free(s);
        CHECK(protected_pages(b) == 0, "%s: after its end", backing_cases[i].label);
        backing_done(&memory);
    }
}

/* Memory that it cannot protect: a clear error in one line, and the source can be stopped. */
static void says_what_it_cannot(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "gone", 64, false);
    struct dirty_source *s = source_of(&map);
    struct dirty_bitmap *d = dirty_trial_bitmaps(&map);
    struct error err;
    uint64_t pages;

    (void)state;
    check_refused("sync without start", s->ops->sync(s, d, &pages, &err), &err, ERR_SYSTEM,
                  "RAM block 'gone': PAGEMAP_SCAN");
    munmap(b->host, b->used_bytes);
    check_refused("no memory", s->ops->start(s, &err), &err, ERR_SYSTEM,
                  "RAM block 'gone': userfaultfd");
    s->ops->stop(s);
    b->mapped = false;
    dirty_uffd_free(s);
    dirty_trial_bitmaps_free(&map, d);
    ram_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_no_write),
        cmocka_unit_test(knows_several_blocks),
        cmocka_unit_test(tells_only_what_was_written),
        cmocka_unit_test(notices_the_kernel),
        cmocka_unit_test(leaves_absent_memory_alone),
        cmocka_unit_test(stops),
        cmocka_unit_test(says_what_it_cannot),
    };
    struct error err;

    if (dirty_uffd_usable(&err) < 0)
        skip_all(err.text);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
