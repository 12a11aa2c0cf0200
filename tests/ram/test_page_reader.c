/* page_reader: runs of pages from a file. Each run stays at its place until all are released. */
#include "ram/page_reader.h"

#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/memory.h"
#include "tests/support/test.h"

#define PAGES   300
#define FILE_AT (3 * RAM_PAGE_SIZE)

static struct ram_block *open_block(struct ram_map *map)
{
    struct ram_block *b = memory_add(map, "pc.ram", PAGES, false);

    memory_fill(b, 7, false);
    b->fd = memfd_create("pages", MFD_CLOEXEC);
    assert_true(b->fd >= 0);
    assert_int_equal(pwrite(b->fd, b->host, b->used_bytes, FILE_AT), (ssize_t)b->used_bytes);
    b->fd_offset = FILE_AT;
    return b;
}

static void close_block(struct ram_map *map)
{
    close(map->blocks[0].fd);
    ram_map_done(map);
}

static void check_page(const struct ram_block *b, const uint8_t *bytes, uint64_t page)
{
    CHECK(bytes && memcmp(bytes, b->host + page * RAM_PAGE_SIZE, RAM_PAGE_SIZE) == 0,
          "page %llu is another", (unsigned long long)page);
}

static void runs_stay_until_cleared(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = open_block(&map);
    struct page_reader r = {0};
    struct error err;

    (void)state;
    assert_null(page_reader_find(&r, 0));
    assert_int_equal(page_reader_room(&r), PAGE_READER_PAGES);
    OK(page_reader_read(&r, b, 10, 100, &err), err, "first run");
    const uint8_t *early = page_reader_find(&r, 109);
    check_page(b, early, 109);
    assert_null(page_reader_find(&r, 9));
    assert_null(page_reader_find(&r, 110));

    assert_int_equal(page_reader_room(&r), PAGE_READER_PAGES - 100);
    OK(page_reader_read(&r, b, PAGES - 28, 28, &err), err, "second run, up to the block's end");
    check_page(b, page_reader_find(&r, PAGES - 1), PAGES - 1);
    assert_null(page_reader_find(&r, 10)); /* only the last run is searched … */
    check_page(b, early, 109);             /* … but what was found stays found */

    assert_int_equal(page_reader_room(&r), 0);
    page_reader_clear(&r);
    assert_null(page_reader_find(&r, PAGES - 1));
    OK(page_reader_read(&r, b, 0, PAGE_READER_PAGES, &err), err, "all the room");
    check_page(b, page_reader_find(&r, 0), 0);
    page_reader_done(&r);
    page_reader_done(&r);
    close_block(&map);
}

static void what_cannot_be_read_is_an_error(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = open_block(&map);
    struct page_reader r = {0};
    struct error err;
    int fd = b->fd;

    (void)state;
    assert_int_equal(ftruncate(fd, FILE_AT + 50 * RAM_PAGE_SIZE + 17), 0);
    OK(page_reader_read(&r, b, 49, 1, &err), err, "the last whole page");
    check_refused("cut", page_reader_read(&r, b, 50, 1, &err), &err, ERR_PEER,
                  "RAM block 'pc.ram': its file ends at byte 217105: it was cut");
    check_page(b, page_reader_find(&r, 49), 49);
    b->fd = -1;
    check_refused("closed", page_reader_read(&r, b, 0, 1, &err), &err, ERR_SYSTEM, "byte 12288");
    b->fd = fd;
    page_reader_done(&r);
    close_block(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_stay_until_cleared),
        cmocka_unit_test(what_cannot_be_read_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
