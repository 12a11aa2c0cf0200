/* page_walk: every dirty page once, rearmed before it is given out, and its bytes stay until a
 * cut. */
#include "ram/page_walk.h"

#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/memory.h"
#include "tests/support/test.h"

#define PAGES_MAX 2048

struct world {
    struct ram_map map;
    struct ram_round round;
};

/* Every third page is zero. */
static void add(struct world *w, const char *name, uint64_t n_pages)
{
    memory_fill(memory_add(&w->map, name, n_pages, false), (unsigned)w->map.n, true);
}

static void start(struct world *w, struct dirty_source *source)
{
    struct error err;

    OK(ram_round_init(&w->round, &w->map, false, source, &err), err, "round");
    round_set_all(&w->round);
}

static void done(struct world *w)
{
    for (size_t i = 0; i < w->map.n; i++) {
        if (w->map.blocks[i].fd >= 0)
            close(w->map.blocks[i].fd);
    }
    ram_round_done(&w->round);
    ram_map_done(&w->map);
}

/* From now on the block's pages are in a file; its mapping holds other bytes. */
static void into_file(struct ram_block *b)
{
    b->fd = memfd_create("pages", MFD_CLOEXEC);
    b->fd_offset = 5 * RAM_PAGE_SIZE;
    assert_true(b->fd >= 0);
    assert_int_equal(pwrite(b->fd, b->host, b->used_bytes, (off_t)b->fd_offset),
                     (ssize_t)b->used_bytes);
    memset(b->host, 0xee, b->used_bytes);
}

static void check_page(const struct page_walk *w, const struct walked_page *page)
{
    uint8_t bytes[RAM_PAGE_SIZE];
    const uint8_t *want = w->block->host + (page->page << RAM_PAGE_BITS);
    static const uint8_t zeros[RAM_PAGE_SIZE];

    if (w->block->fd >= 0) {
        off_t at = (off_t)(w->block->fd_offset + (page->page << RAM_PAGE_BITS));

        assert_int_equal(pread(w->block->fd, bytes, sizeof(bytes), at), sizeof(bytes));
        want = bytes;
    }
    CHECK(memcmp(page->bytes ? page->bytes : zeros, want, RAM_PAGE_SIZE) == 0,
          "%s, page %" PRIu64 ": other bytes", w->block->name, page->page);
    CHECK(!page->bytes == (memcmp(want, zeros, RAM_PAGE_SIZE) == 0),
          "%s, page %" PRIu64 ": zero or not", w->block->name, page->page);
}

/* --- order, cuts ------------------------------------------------------------------------------ */

/* A round as text: "=NAME" a cut before a block's first page, "|" another one, "A-B" pages. */
static void trace(struct page_walk *w, char *ret, size_t size)
{
    const struct ram_block *block = NULL;
    struct walked_page page;
    uint64_t first = 0, end = 0;
    struct error err;
    size_t n = 0;
    int event;

    ret[0] = '\0';
    do {
        event = page_walk_next(w, &page, &err);
        CHECK(event >= 0, "%s", err.text);
        if (event == PAGE_WALK_PAGE && page.page == end && end > first) {
            end++;
            continue;
        }
        if (end > first)
            n += (size_t)snprintf(ret + n, size - n, "%" PRIu64 "-%" PRIu64 " ", first, end - 1);
        first = end = 0;
        if (event == PAGE_WALK_PAGE) {
            first = page.page;
            end = first + 1;
        } else if (event == PAGE_WALK_CUT) {
            n += (size_t)snprintf(ret + n, size - n, "%s%s ", w->block == block ? "|" : "=",
                                  w->block == block ? "" : w->block->name);
            block = w->block;
        }
    } while (event != PAGE_WALK_END);
}

static void clear(struct world *w, size_t block, uint64_t first, uint64_t end)
{
    for (uint64_t page = first; page < end; page++)
        dirty_bitmap_clear(&w->round.dirty[block], page);
}

static void pages_come_in_order(void **state)
{
    static const struct {
        unsigned flags;
        const char *want;
    } cases[] = {
        {0, "=a 0-599 700-1099 =c 0-0 =d 512-512 "},
        {PAGE_WALK_PIECES, "=a 0-511 | 512-599 700-1023 | 1024-1099 | =c 0-0 | =d 512-512 | "},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct page_walk walk = {0};
        struct world w = {0};
        char got[256];

        add(&w, "a", 1100);
        add(&w, "ignored", 600);
        add(&w, "c", 1);
        add(&w, "d", 600);
        w.map.blocks[1].travel = RAM_IGNORED;
        start(&w, NULL);
        clear(&w, 0, 600, 700);
        clear(&w, 3, 0, 512); /* a stripe without a dirty page */
        clear(&w, 3, 513, 600);
        page_walk_start(&walk, &w.round, cases[i].flags);
        trace(&walk, got, sizeof(got));
        CHECK(strcmp(got, cases[i].want) == 0, "%s, expected %s", got, cases[i].want);
        trace(&walk, got, sizeof(got)); /* after the end it returns nothing more */
        assert_string_equal(got, "");
        page_walk_done(&walk);
        done(&w);
    }
}

/* Pages that are known to be zero are not read. */
static void absent_pages_are_zero(void **state)
{
    struct page_walk walk = {0};
    struct world w = {0};
    struct walked_page page;
    struct error err;
    int event;

    (void)state;
    memory_fill(memory_add(&w.map, "a", 100, true), 1, false);
    ram_mark_present(&w.map.blocks[0], 40 * RAM_PAGE_SIZE, 30 * RAM_PAGE_SIZE);
    start(&w, NULL);
    page_walk_start(&walk, &w.round, 0);
    while ((event = page_walk_next(&walk, &page, &err)) > PAGE_WALK_END) {
        if (event == PAGE_WALK_PAGE)
            CHECK((page.bytes != NULL) == (page.page >= 40 && page.page < 70), "page %" PRIu64,
                  page.page);
    }
    assert_int_equal(event, PAGE_WALK_END);
    done(&w);
}

/* Walks in turn, a page each: together they have every page once. */
static void walks_share_a_round(void **state)
{
    static unsigned seen[2][PAGES_MAX];
    struct page_walk walks[3] = {0};
    struct world w = {0};
    struct walked_page page;
    struct error err;
    size_t live;

    (void)state;
    add(&w, "a", PAGES_MAX);
    add(&w, "b", 1500);
    start(&w, NULL);
    for (size_t i = 0; i < ARRAY_LEN(walks); i++)
        page_walk_start(&walks[i], &w.round, 0);
    do {
        live = 0;
        for (size_t i = 0; i < ARRAY_LEN(walks); i++) {
            int event = page_walk_next(&walks[i], &page, &err);

            live += event != PAGE_WALK_END;
            if (event != PAGE_WALK_PAGE)
                continue;
            check_page(&walks[i], &page);
            seen[walks[i].block - w.map.blocks][page.page]++;
        }
    } while (live > 0);
    for (size_t b = 0; b < w.map.n; b++) {
        for (uint64_t p = 0; p < ram_block_pages(&w.map.blocks[b]); p++)
            CHECK(seen[b][p] == 1, "block %zu, page %" PRIu64 ": %u times", b, p, seen[b][p]);
    }
    assert_int_equal(ram_round_dirty_pages(&w.round), 0);
    done(&w);
}

/* --- a guest that runs ------------------------------------------------------------------------ */

struct log {
    struct dirty_source base;
    bool armed[PAGES_MAX];
    uint64_t refuse_from; /* a stripe that begins here, or later, cannot be armed */
};

static int arm(struct dirty_source *s, size_t block, uint64_t first_page, uint64_t n_pages,
               const uint64_t *words, struct error *err)
{
    struct log *log = (struct log *)s;

    (void)block;
    if (first_page >= log->refuse_from)
        return err_set(err, ERR_SYSTEM, "not armed");
    for (uint64_t i = 0; i < n_pages; i++)
        log->armed[first_page + i] = words[i / 64] >> i % 64 & 1;
    return 0;
}

static const struct dirty_source_ops log_ops = {.rearm = arm};

static void pages_are_armed_first(void **state)
{
    struct log log = {.base.ops = &log_ops, .refuse_from = 512};
    struct page_walk walk = {0};
    struct world w = {0};
    struct walked_page page;
    struct error err;
    unsigned n = 0;
    int event;

    (void)state;
    add(&w, "a", 1024);
    start(&w, &log.base);
    clear(&w, 0, 0, 300);
    page_walk_start(&walk, &w.round, PAGE_WALK_READS);
    while ((event = page_walk_next(&walk, &page, &err)) > PAGE_WALK_END) {
        CHECK(!walk.stable, "a page of a running guest does not stand still");
        CHECK(!log.armed[512], "armed before its turn");
        if (event == PAGE_WALK_PAGE) {
            CHECK(log.armed[page.page], "page %" PRIu64 " is not armed", page.page);
            n++;
        }
    }
    check_refused("a stripe that is not armed", event, &err, ERR_SYSTEM, "not armed");
    assert_int_equal(n, 212);
    assert_false(log.armed[299]);
    done(&w);
}

/* --- pages of a file -------------------------------------------------------------------------- */

/* Bytes that were given out stay as they are until the first call after a cut. */
static void check_kept(const struct page_walk *w, const struct walked_page *kept, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_page(w, &kept[i]);
}

/* A sink that keeps up to `n_batch` pages with bytes before it releases them without a cut. */
static size_t walk_in_batches(struct world *w, unsigned flags, size_t n_batch)
{
    struct walked_page kept[PAGES_MAX], page;
    struct page_walk walk = {0};
    size_t n = 0, cuts = 0;
    struct error err;
    int event;

    page_walk_start(&walk, &w->round, flags);
    while ((event = page_walk_next(&walk, &page, &err)) > PAGE_WALK_END) {
        CHECK(walk.stable, "pages of a file that does not change stand still");
        if (event == PAGE_WALK_PAGE && !page.bytes)
            continue;
        if (event == PAGE_WALK_PAGE)
            kept[n++] = page;
        if (event == PAGE_WALK_CUT)
            cuts++;
        if (event == PAGE_WALK_CUT || n == n_batch) {
            check_kept(&walk, kept, n);
            page_walk_release(&walk);
            n = 0;
        }
    }
    assert_int_equal(event, PAGE_WALK_END);
    check_kept(&walk, kept, n);
    page_walk_done(&walk);
    return cuts;
}

static void cuts_free_the_buffer(void **state)
{
    static const struct {
        const char *label;
        unsigned flags;
        size_t n_batch, cuts;
    } cases[] = {
        /* 12 runs of 524 pages; the first cut is the one before the block. */
        {"all is kept", PAGE_WALK_READS, PAGES_MAX, 1 + 523 / PAGE_READER_PAGES},
        {"each page is let go", PAGE_WALK_READS, 1, 1},
        {"pieces", PAGE_WALK_READS | PAGE_WALK_PIECES, 1, 1 + 11 + 2},
        {"looked at as mapped", 0, PAGES_MAX, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w = {0};

        add(&w, "a", 1024);
        start(&w, NULL);
        if (cases[i].flags)
            into_file(&w.map.blocks[0]);
        for (uint64_t page = 50; page < 1024; page += 100)
            clear(&w, 0, page, MIN(page + 50, UINT64_C(1024)));
        size_t cuts = walk_in_batches(&w, cases[i].flags, cases[i].n_batch);
        CHECK(cuts == cases[i].cuts, "%s: %zu cuts, expected %zu", cases[i].label, cuts,
              cases[i].cuts);
        done(&w);
    }
}

/* A running guest's pages change: they are not read from the file. */
static void a_running_guest_is_not_read(void **state)
{
    struct log log = {.base.ops = &log_ops, .refuse_from = UINT64_MAX};
    struct page_walk walk = {0};
    struct world w = {0};
    struct walked_page page;
    struct error err;

    (void)state;
    add(&w, "a", 10);
    into_file(&w.map.blocks[0]);
    start(&w, &log.base);
    page_walk_start(&walk, &w.round, PAGE_WALK_READS);
    assert_int_equal(page_walk_next(&walk, &page, &err), PAGE_WALK_CUT);
    assert_int_equal(page_walk_next(&walk, &page, &err), PAGE_WALK_PAGE);
    assert_ptr_equal(page.bytes, w.map.blocks[0].host);
    done(&w);
}

static void a_file_that_was_cut(void **state)
{
    struct page_walk walk = {0};
    struct world w = {0};
    struct walked_page page;
    struct error err;
    int event;

    (void)state;
    add(&w, "a", 100);
    into_file(&w.map.blocks[0]);
    assert_int_equal(ftruncate(w.map.blocks[0].fd, 50 * RAM_PAGE_SIZE), 0);
    start(&w, NULL);
    page_walk_start(&walk, &w.round, PAGE_WALK_READS);
    do
        event = page_walk_next(&walk, &page, &err);
    while (event > PAGE_WALK_END);
    check_refused("cut", event, &err, ERR_PEER, "it was cut");
    page_walk_done(&walk);
    done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_come_in_order),  cmocka_unit_test(absent_pages_are_zero),
        cmocka_unit_test(walks_share_a_round),  cmocka_unit_test(pages_are_armed_first),
        cmocka_unit_test(cuts_free_the_buffer), cmocka_unit_test(a_running_guest_is_not_read),
        cmocka_unit_test(a_file_that_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
