#include "ram/resident.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/memory.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

static bool is_set(const struct dirty_bitmap *d, uint64_t page)
{
    return d->words[page / 64] >> page % 64 & 1;
}

static void resident(const struct ram_block *b, struct dirty_bitmap *ret)
{
    struct error err;

    OK(dirty_bitmap_init(ret, ram_block_pages(b), &err), err, "init");
    OK(ram_resident(b, ret, &err), err, b->name);
}

/* No page with contents may be missing; pages that were never touched should be absent. */
static void anonymous_memory(void **state)
{
    static const uint64_t touched[] = {0, 1, 63, 64, 700, 2047};
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "m", 2048, false);
    struct dirty_bitmap d;

    (void)state;
    madvise(b->host, b->used_bytes, MADV_NOHUGEPAGE); /* a huge page would touch its neighbours */
    for (size_t i = 0; i < ARRAY_LEN(touched); i++)
        b->host[touched[i] * RAM_PAGE_SIZE + 5] = 1;
    resident(b, &d);
    for (size_t i = 0; i < ARRAY_LEN(touched); i++)
        CHECK(is_set(&d, touched[i]), "page %" PRIu64 " is missing", touched[i]);
    if (strcmp(ram_resident_method(), "none") != 0)
        CHECK(dirty_bitmap_count(&d) == ARRAY_LEN(touched), "%s: %" PRIu64 " pages, expected %zu",
              ram_resident_method(), dirty_bitmap_count(&d), ARRAY_LEN(touched));
    dirty_bitmap_done(&d);
    ram_map_done(&map);
}

static void never_touched_memory(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "m", 100000, false);
    struct dirty_bitmap d;

    (void)state;
    resident(b, &d);
    CHECK(dirty_bitmap_count(&d) == 0 || strcmp(ram_resident_method(), "none") == 0,
          "%" PRIu64 " pages of untouched memory", dirty_bitmap_count(&d));
    dirty_bitmap_done(&d);
    ram_map_done(&map);
}

/* Read but not written: mapped to the shared zero page. */
static void only_read_memory(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "m", 64, false);
    struct dirty_bitmap d;

    (void)state;
    for (uint64_t page = 0; page < 64; page++)
        (void)((volatile uint8_t *)b->host)[page * RAM_PAGE_SIZE];
    b->host[9 * RAM_PAGE_SIZE] = 1;
    resident(b, &d);
    CHECK(is_set(&d, 9), "the written page is missing");
    dirty_bitmap_done(&d);
    ram_map_done(&map);
}

static void files_with_holes(void **state)
{
    enum { PAGES = 1000, FIRST = 3 };
    static const uint64_t data[] = {0, 100, 512, 999};
    struct ram_block b = {.name = "f", .used_bytes = PAGES * RAM_PAGE_SIZE};
    char path[PATH_MAX];
    struct dirty_bitmap d;

    (void)state;
    AUTO_FD int fd = open(temp_path(path, "holes"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, (FIRST + PAGES + 5) * RAM_PAGE_SIZE) == 0, "a file");
    b.fd = fd;
    b.fd_offset = FIRST * RAM_PAGE_SIZE; /* the block is a part of it */
    resident(&b, &d);
    CHECK(dirty_bitmap_count(&d) == 0 || dirty_bitmap_count(&d) == PAGES,
          "an empty file has %" PRIu64 " pages", dirty_bitmap_count(&d));
    dirty_bitmap_done(&d);
    CHECK(pwrite(fd, "x", 1, 0) == 1 && pwrite(fd, "x", 1, (FIRST + PAGES) * RAM_PAGE_SIZE) == 1,
          "around the block");
    for (size_t i = 0; i < ARRAY_LEN(data); i++)
        CHECK(pwrite(fd, "x", 1, (off_t)((FIRST + data[i]) * RAM_PAGE_SIZE + 4095)) == 1, "write");
    resident(&b, &d);
    for (size_t i = 0; i < ARRAY_LEN(data); i++)
        CHECK(is_set(&d, data[i]), "page %" PRIu64 " is missing", data[i]);
    CHECK(d.words[dirty_bitmap_words(&d) - 1] >> PAGES % 64 == 0, "bits behind the end");
    dirty_bitmap_done(&d);
}

static void files_shorter_than_their_block(void **state)
{
    struct ram_block b = {.name = "f", .used_bytes = 100 * RAM_PAGE_SIZE};
    char page[RAM_PAGE_SIZE] = "x";
    struct dirty_bitmap d;

    (void)state;
    AUTO_FD int fd = bytes_fd(page, sizeof(page));
    b.fd = fd;
    resident(&b, &d);
    CHECK(is_set(&d, 0), "the page that is there is missing");
    dirty_bitmap_done(&d);
}

static void present_bits_go_first(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "m", 130, true);
    struct dirty_bitmap d;

    (void)state;
    memset(b->host, 1, b->used_bytes);
    ram_mark_present(b, 64 * RAM_PAGE_SIZE, 2 * RAM_PAGE_SIZE);
    ram_mark_present(b, 129 * RAM_PAGE_SIZE, RAM_PAGE_SIZE);
    resident(b, &d);
    CHECK(dirty_bitmap_count(&d) == 3 && is_set(&d, 64) && is_set(&d, 65) && is_set(&d, 129),
          "%" PRIu64 " pages", dirty_bitmap_count(&d));
    dirty_bitmap_done(&d);
    ram_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anonymous_memory),
        cmocka_unit_test(never_touched_memory),
        cmocka_unit_test(only_read_memory),
        cmocka_unit_test(files_with_holes),
        cmocka_unit_test(files_shorter_than_their_block),
        cmocka_unit_test(present_bits_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
