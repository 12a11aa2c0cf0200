/* page_place: the same steps, whether a block's pages are in memory or in a store. */
#include "ram/page_place.h"

#include "tests/support/memory.h"
#include "tests/support/test.h"

#define PAGES 8

static uint8_t stored[PAGES * RAM_PAGE_SIZE];
static size_t writes;

static int store_write(struct ram_block *b, uint64_t offset, const void *bytes, size_t len,
                       struct error *err)
{
    (void)b;
    writes++;
    if (offset == 7 * RAM_PAGE_SIZE)
        return err_set(err, ERR_SYSTEM, "full");
    memcpy(stored + offset, bytes, len);
    return 0;
}

static int store_clear(struct ram_block *b, uint64_t offset, size_t len, struct error *err)
{
    (void)b;
    (void)err;
    memset(stored + offset, 0, len);
    return 0;
}

static int store_read(struct ram_block *b, uint64_t offset, void *bytes, size_t len,
                      struct error *err)
{
    (void)b;
    (void)err;
    memcpy(bytes, stored + offset, len);
    return 0;
}

static const struct ram_store_ops store = {store_write, store_clear, store_read};

static void check_page(struct ram_block *b, uint64_t page, uint8_t want)
{
    uint8_t buffer[RAM_PAGE_SIZE];
    const uint8_t *bytes;
    struct error err;

    OK(page_place_read(b, page, buffer, &bytes, &err), err, b->name);
    for (size_t i = 0; i < RAM_PAGE_SIZE; i++)
        CHECK(bytes[i] == want, "%s: page %llu, byte %zu: %u, expected %u", b->name,
              (unsigned long long)page, i, bytes[i], want);
}

static void receive_and_read(struct ram_block *b)
{
    uint8_t buffer[2 * RAM_PAGE_SIZE], page[RAM_PAGE_SIZE], *host;
    struct error err;

    OK(ram_span(b, 3 * RAM_PAGE_SIZE, sizeof(buffer), &host, &err), err, b->name);
    uint8_t *room = page_place_room(host, buffer);
    CHECK((room == buffer) == page_place_is_buffered(b), "%s: room elsewhere", b->name);
    memset(room, 9, sizeof(buffer));
    OK(page_place_settle(b, 3 * RAM_PAGE_SIZE, room, sizeof(buffer), &err), err, b->name);
    memset(page, 5, sizeof(page));
    OK(page_place_write(b, 6 * RAM_PAGE_SIZE, page, sizeof(page), &err), err, b->name);
    for (uint64_t p = 0; p < PAGES; p++) {
        bool wanted = p == 3 || p == 4 || p == 6;

        CHECK(ram_page_present(b, p) == wanted, "%s: page %llu", b->name, (unsigned long long)p);
    }
    OK(page_place_zero(b, 4 * RAM_PAGE_SIZE, &err), err, b->name);
    check_page(b, 3, 9);
    check_page(b, 4, 0);
    check_page(b, 6, 5);
    assert_false(ram_page_present(b, 4));
}

static void memory_and_store_alike(void **state)
{
    struct ram_map map = {0};
    struct error err;

    (void)state;
    memory_add(&map, "memory", PAGES, true);
    OK(ram_map_add(&map, "store", PAGES * RAM_PAGE_SIZE, &err), err, "store");
    OK(ram_block_track(&map.blocks[1], &err), err, "store");
    map.blocks[1].store = &store;
    receive_and_read(&map.blocks[0]);
    assert_int_equal(writes, 0);
    receive_and_read(&map.blocks[1]);
    assert_int_equal(writes, 2);
    check_refused("a store that fails",
                  page_place_write(&map.blocks[1], 7 * RAM_PAGE_SIZE, stored, RAM_PAGE_SIZE, &err),
                  &err, ERR_SYSTEM, "full");
    ram_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_and_store_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
