#include "ram/block.h"

#include <inttypes.h>

#include "ram/page_place.h"
#include "tests/support/memory.h"
#include "tests/support/test.h"

static const struct add_case {
    const char *label, *name;
    uint64_t bytes;
    const char *refused;
} add_cases[] = {
    {"one page", "a", 4096, NULL},
    {"the largest", "b", RAM_BLOCK_MAX, NULL},
    {"no length", "c", 0, "length 0x0"},
    {"half a page", "c", 2048, "length 0x800"},
    {"one byte over", "c", 4097, "length 0x1001"},
    {"larger than the largest", "c", RAM_BLOCK_MAX + 4096, "length 0x400000001000"},
    {"all that fits in a word", "c", UINT64_C(0xfffffffffffff000), "length 0xfffffffffffff000"},
    {"no name", "", 4096, "a name of 0 bytes"},
    {"a name again", "a", 4096, "listed twice"},
    {"a name of two lines", "d\ne", 4096, "RAM block 'd?e': its name holds byte 0x0a"},
    {"a name of no ASCII", "\u00e4", 4096, "holds byte 0xc3, expected printable ASCII"},
};

static void adds(void **state)
{
    struct ram_map map = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(add_cases); i++) {
        const struct add_case *c = &add_cases[i];
        size_t n = map.n;
        struct error err;
        int rc = ram_map_add(&map, c->name, c->bytes, &err);

        if (c->refused) {
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
            CHECK(map.n == n, "%s: it was added", c->label);
        } else {
            OK(rc, err, c->label);
            CHECK(ram_map_find(&map, c->name) == &map.blocks[n], "%s: not found", c->label);
        }
    }
    CHECK(!ram_map_find(&map, "nobody"), "found what is not there");
    assert_int_equal(map.total_bytes, 4096 + RAM_BLOCK_MAX);
    ram_map_done(&map);
}

static void names_and_numbers_are_limited(void **state)
{
    struct ram_map map = {0};
    struct error err;
    char name[300];

    (void)state;
    memset(name, 'x', sizeof(name));
    name[255] = 0;
    OK(ram_map_add(&map, name, 4096, &err), err, "a name of 255 bytes");
    name[255] = 'x';
    name[256] = 0;
    check_refused("256", ram_map_add(&map, name, 4096, &err), &err, ERR_PEER, "256 bytes");
    for (size_t i = 1; i < RAM_BLOCKS_MAX; i++) {
        snprintf(name, sizeof(name), "%zu", i);
        OK(ram_map_add(&map, name, 4096, &err), err, name);
    }
    check_refused("one too many", ram_map_add(&map, "y", 4096, &err), &err, ERR_PEER,
                  "more than 4096 RAM blocks");
    ram_map_done(&map);
}

#define PAGE RAM_PAGE_SIZE
#define LAST UINT64_C(0xfffffffffffff000)

static const struct span_case {
    const char *label;
    uint64_t offset;
    size_t len;
    const char *refused;
} span_cases[] = {
    {"first page", 0, PAGE, NULL},
    {"last page", 3 * PAGE, PAGE, NULL},
    {"all", 0, 4 * PAGE, NULL},
    {"nothing, at the end", 4 * PAGE, 0, NULL},
    {"behind the end", 4 * PAGE, PAGE, "offset 0x4000, expected at most 0x3000"},
    {"over the end", 3 * PAGE, 2 * PAGE, "offset 0x3000, expected at most 0x2000"},
    {"longer than the block", 0, 5 * PAGE, "expected at most 0x0"},
    {"nothing, far behind", 5 * PAGE, 0, "expected at most 0x4000"},
    {"one byte in", 1, PAGE, "offset 0x1, expected a multiple of 4096"},
    {"half a page in", 2048, PAGE, "expected a multiple of 4096"},
    {"half a page long", 0, 2048, "expected a multiple of 4096"},
    {"the last page there is", LAST, PAGE, "offset 0xfffffffffffff000, expected at most 0x3000"},
    {"a sum that is zero", LAST, PAGE, "expected at most"},
    {"a sum that overflows", LAST, 2 * PAGE, "expected at most"},
    {"the longest", 0, (size_t)LAST, "expected at most 0x0"},
    {"both at the edge", LAST, (size_t)LAST, "expected at most 0x0"},
};

static void the_one_door(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "m", 4, true);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(span_cases); i++) {
        const struct span_case *c = &span_cases[i];
        uint8_t here, *host = &here;
        struct error err;
        int rc = ram_span(b, c->offset, c->len, &host, &err);

        if (c->refused) {
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
            CHECK(host == &here, "%s: the result was touched", c->label);
        } else {
            CHECK(rc == 0 && host == b->host + c->offset, "%s: elsewhere", c->label);
        }
    }
    struct ram_block stored = {.name = "s", .used_bytes = 4 * PAGE};
    uint8_t here, *host = &here;
    struct error err;
    OK(ram_span(&stored, 0, PAGE, &host, &err), err, "a block in a store");
    CHECK(!host, "a place in memory that there is not");
    ram_map_done(&map);
}

static void closed_where_nothing_travels(void **state)
{
    static const enum ram_travel closed[] = {RAM_IGNORED, RAM_NOT_LISTED};
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "mem0", 4, true);

    (void)state;
    for (size_t t = 0; t < ARRAY_LEN(closed); t++) {
        b->travel = closed[t];
        for (size_t i = 0; i < ARRAY_LEN(span_cases); i++) {
            uint8_t here, *host = &here;
            struct error err;

            check_refused(span_cases[i].label,
                          ram_span(b, span_cases[i].offset, span_cases[i].len, &host, &err), &err,
                          ERR_PEER, "RAM block 'mem0': a page of it, expected none");
            CHECK(host == &here, "%s: the result was touched", span_cases[i].label);
        }
    }
    ram_map_done(&map);
}

/* A page of zeros also counts as arrived: a block that is left out has none. */
static void notes_that_something_came(void **state)
{
    const uint8_t page[PAGE] = {1};
    struct ram_map map = {0};
    struct error err;

    (void)state;
    for (int i = 0; i < 4; i++)
        memory_add(&map, (char[]){(char)('a' + i), 0}, 4, true);
    OK(page_place_zero(&map.blocks[0], PAGE, &err), err, "zero");
    OK(page_place_write(&map.blocks[1], PAGE, page, PAGE, &err), err, "write");
    ram_mark_present(&map.blocks[2], PAGE, PAGE);
    for (int i = 0; i < 4; i++)
        CHECK(ram_block_came(&map.blocks[i]) == (i < 3), "block %d", i);
    ram_map_done(&map);
}

static void notes_what_is_present(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "m", 200, true);

    (void)state;
    /* Inside a word, over one edge of a word, over a whole word. */
    static const struct {
        uint64_t first, n;
    } runs[] = {{3, 2}, {62, 4}, {100, 70}, {199, 1}};
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        ram_mark_present(b, runs[i].first * PAGE, runs[i].n * PAGE);
    for (uint64_t page = 0; page < 200; page++) {
        bool want = false;

        for (size_t i = 0; i < ARRAY_LEN(runs); i++)
            want |= page >= runs[i].first && page < runs[i].first + runs[i].n;
        CHECK(ram_page_present(b, page) == want, "page %" PRIu64, page);
    }
    ram_map_done(&map);
}

static void zero_clears_only_what_was_written(void **state)
{
    struct ram_map map = {0};
    struct ram_block *b = memory_add(&map, "m", 4, true);
    uint8_t page[PAGE];
    struct error err;

    (void)state;
    memset(page, 0xab, sizeof(page));
    OK(page_place_write(b, PAGE, page, PAGE, &err), err, "write");
    CHECK(ram_page_present(b, 1) && b->host[PAGE] == 0xab, "not there");
    OK(page_place_zero(b, PAGE, &err), err, "zero");
    CHECK(!ram_page_present(b, 1) && b->host[PAGE] == 0 && b->host[2 * PAGE - 1] == 0, "not zero");
    b->host[2 * PAGE] = 1; /* we have not written it: fresh memory is not touched */
    OK(page_place_zero(b, 2 * PAGE, &err), err, "fresh");
    CHECK(b->host[2 * PAGE] == 1, "fresh memory was touched");
    ram_map_done(&map);
}

/* A store that only counts, for 4 pages. */
static struct {
    unsigned writes, clears;
    uint8_t bytes[4 * PAGE];
} store;

static int count_write(struct ram_block *b, uint64_t offset, const void *bytes, size_t len,
                       struct error *err)
{
    (void)b;
    (void)err;
    store.writes++;
    memcpy(store.bytes + offset, bytes, len);
    return 0;
}

static int count_clear(struct ram_block *b, uint64_t offset, size_t len, struct error *err)
{
    (void)b;
    (void)err;
    store.clears++;
    memset(store.bytes + offset, 0, len);
    return 0;
}

static const struct ram_store_ops counting = {.write = count_write, .clear = count_clear};

static void pages_go_to_the_store(void **state)
{
    struct ram_map map = {0};
    uint8_t pages[2 * PAGE];
    struct error err;

    (void)state;
    OK(ram_map_add(&map, "s", 4 * PAGE, &err), err, "add");
    struct ram_block *b = &map.blocks[0];
    b->store = &counting;
    OK(ram_block_track(b, &err), err, "track");
    memset(pages, 0xcd, sizeof(pages));
    OK(page_place_write(b, PAGE, pages, 2 * PAGE, &err), err, "write");
    OK(page_place_zero(b, 2 * PAGE, &err), err, "zero");
    OK(page_place_zero(b, 2 * PAGE, &err), err, "zero again");
    OK(page_place_zero(b, 0, &err), err, "zero what was never written");
    CHECK(store.writes == 1 && store.clears == 1, "%u writes, %u clears", store.writes,
          store.clears);
    CHECK(store.bytes[0] == 0 && store.bytes[PAGE] == 0xcd && store.bytes[2 * PAGE] == 0,
          "other bytes");
    ram_map_done(&map);
}

static void anonymous_memory_is_aligned_and_zero(void **state)
{
    static const uint64_t pages[] = {1, 511, 512, 513, 3000};
    struct ram_map map = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        char name[16];

        snprintf(name, sizeof(name), "m%zu", i);
        struct ram_block *b = memory_add(&map, name, pages[i], false);
        CHECK(IS_ALIGNED((uintptr_t)b->host, (uintptr_t)2 << 20), "%s: not aligned", name);
        CHECK(b->host[0] == 0 && b->host[b->used_bytes - 1] == 0, "%s: not zero", name);
        b->host[b->used_bytes - 1] = 1;
    }
    ram_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds),
        cmocka_unit_test(names_and_numbers_are_limited),
        cmocka_unit_test(the_one_door),
        cmocka_unit_test(closed_where_nothing_travels),
        cmocka_unit_test(notes_that_something_came),
        cmocka_unit_test(notes_what_is_present),
        cmocka_unit_test(zero_clears_only_what_was_written),
        cmocka_unit_test(pages_go_to_the_store),
        cmocka_unit_test(anonymous_memory_is_aligned_and_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
