#include "ram/digest.h"

#include <inttypes.h>

#include "tests/support/memory.h"
#include "tests/support/test.h"

static uint64_t digest(struct ram_block *b)
{
    struct error err;
    uint64_t value = 0;

    OK(ram_digest(b, NULL, &value, &err), err, b->name);
    return value;
}

static void every_page_counts(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "m", 20, false);
    uint64_t empty = digest(b);

    (void)state;
    for (uint64_t page = 0; page < 20; page++) {
        b->host[page * RAM_PAGE_SIZE + 77] ^= 1;
        CHECK(digest(b) != empty, "page %" PRIu64, page);
        b->host[page * RAM_PAGE_SIZE + 77] ^= 1;
    }
    CHECK(digest(b) == empty, "it depends on more than the bytes");
    ram_map_done(&map);
}

static void absent_pages_are_zeros(void **state)
{
    struct ram_map map = {0};
    memory_add(&map, "plain", 70, false);
    memory_add(&map, "tracked", 70, true);
    struct ram_block *plain = &map.blocks[0], *tracked = &map.blocks[1];

    (void)state;
    memory_fill(plain, 1, true);
    CHECK(digest(plain) != digest(tracked), "different memory, one digest");
    memory_fill(tracked, 1, true);
    CHECK(digest(plain) != digest(tracked), "pages that are not present were read");
    for (uint64_t page = 0; page < 70; page++) {
        if (page % 3 != 1)
            ram_mark_present(tracked, page * RAM_PAGE_SIZE, RAM_PAGE_SIZE);
    }
    CHECK(digest(plain) == digest(tracked), "the same memory, two digests");
    ram_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_counts),
        cmocka_unit_test(absent_pages_are_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
