/* Pages of a mapped-ram file into memory: read by one thread or many, with O_DIRECT,
 * or mapped first. */
#include "ram/mapped_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "ram/resident.h"
#include "tests/support/memory.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

#define PAGES   3001
#define BITMAP  4096        /* where in the file … */
#define PLACE   (64 * 4096) /* … its pages are */
#define STRANGE 0x5a        /* the bytes of the file where it has no page */

static bool all(uint64_t page)
{
    (void)page;
    return true;
}

static bool none(uint64_t page)
{
    (void)page;
    return false;
}

static bool every_other(uint64_t page)
{
    return page % 2;
}

static bool most(uint64_t page)
{
    return page % 700 > 10;
}

static bool short_runs(uint64_t page)
{
    return page % 20 < 15;
}

static bool ends(uint64_t page)
{
    return page < 16 || page >= PAGES - 17;
}

static const struct pattern {
    const char *label;
    bool (*has)(uint64_t page);
    size_t n_mapped; /* runs that are long enough to be mapped */
} patterns[] = {
    {"all", all, 1},
    {"none", none, 0},
    {"every other page", every_other, 0},
    {"most", most, 5},
    {"short runs", short_runs, 0},
    {"both ends", ends, 2},
};

struct scene {
    char path[PATH_MAX];
    int fd, direct_fd;
    struct mapped_ram place;
    struct mapped_file file;
    struct cancel cancel;
    struct ram_map map;
    struct ram_block *block;
    uint8_t *expected;
};

static void fill(uint8_t *page, uint64_t n)
{
    for (size_t i = 0; i < RAM_PAGE_SIZE; i++)
        page[i] = (uint8_t)(n * 31 + i * 7 + 1);
}

static void put(const struct scene *s, const void *bytes, size_t len, uint64_t at)
{
    CHECK(pwrite(s->fd, bytes, len, (off_t)at) == (ssize_t)len, "write at %" PRIu64, at);
}

/* A page that the bitmap no longer has may still be in the file. */
static void make_file(struct scene *s, const struct pattern *p)
{
    uint64_t words[(PAGES + 63) / 64] = {0};
    uint8_t page[RAM_PAGE_SIZE];

    for (uint64_t n = 0; n < PAGES; n++) {
        memset(page, STRANGE, sizeof(page));
        if (p->has(n)) {
            fill(page, n);
            memcpy(s->expected + n * RAM_PAGE_SIZE, page, sizeof(page));
            words[n / 64] |= htole64(UINT64_C(1) << n % 64);
        }
        put(s, page, sizeof(page), PLACE + n * RAM_PAGE_SIZE);
    }
    put(s, words, sizeof(words), BITMAP);
}

static void scene_init(struct scene *s, const struct pattern *p)
{
    struct error err;

    *s = (struct scene){.place = {BITMAP, PLACE}};
    s->fd = open(temp_path(s->path, "mapped"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(s->fd >= 0, "%s", s->path);
    s->direct_fd = open(s->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    s->expected = calloc(PAGES, RAM_PAGE_SIZE);
    assert_non_null(s->expected);
    make_file(s, p);
    s->file = (struct mapped_file){.fd = s->fd, .direct_fd = -1, .blocks = &s->place};
    OK(cancel_init(&s->cancel, &err), err, "cancel");
    s->block = memory_add(&s->map, "m", PAGES, true);
    s->block->replaceable = true;
}

static void scene_done(struct scene *s)
{
    ram_map_done(&s->map);
    cancel_done(&s->cancel);
    free(s->expected);
    fd_close(&s->fd);
    fd_close(&s->direct_fd);
    unlink(s->path);
}

static void check_memory(const char *label, const struct scene *s)
{
    for (uint64_t n = 0; n < PAGES; n++)
        CHECK(memcmp(s->block->host + n * RAM_PAGE_SIZE, s->expected + n * RAM_PAGE_SIZE,
                     RAM_PAGE_SIZE) == 0,
              "%s: page %" PRIu64 " differs", label, n);
}

static void check_present(const char *label, const struct scene *s, const struct pattern *p)
{
    for (uint64_t n = 0; n < PAGES; n++)
        CHECK(ram_page_present(s->block, n) == p->has(n), "%s: page %" PRIu64, label, n);
}

static const struct way {
    const char *label;
    unsigned n_threads;
    bool direct, mapped;
} ways[] = {
    {"one thread", 1, false, false}, {"nobody said how many", 0, false, false},
    {"many", 9, false, false},       {"O_DIRECT", 3, true, false},
    {"mapped", 2, false, true},
};

static void load(struct scene *s, const struct pattern *p, const struct way *w)
{
    struct file_mapping mapping = {0};
    char label[80];
    struct error err;

    snprintf(label, sizeof(label), "%s, %s", p->label, w->label);
    s->file.direct_fd = w->direct ? s->direct_fd : -1;
    OK(mapped_file_load(&s->file, &s->map, w->mapped ? &mapping : NULL, w->n_threads, &s->cancel,
                        &err),
       err, label);
    check_memory(label, s);
    check_present(label, s, p);
    CHECK(mapping.n == (w->mapped ? p->n_mapped : 0), "%s: %zu runs", label, mapping.n);
    file_mapping_done(&mapping);
}

static void reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
            struct scene s;

            scene_init(&s, &patterns[i]);
            if (!ways[w].direct || s.direct_fd >= 0)
                load(&s, &patterns[i], &ways[w]);
            scene_done(&s);
        }
    }
}

/* --- mapped pages become private memory ------------------------------------------------------- */

/* Lines of /proc/self/maps; only those that name the file `path`, if it is not NULL. */
static size_t n_mappings(const char *path)
{
    char line[PATH_MAX + 128];
    size_t n = 0;
    FILE *f = fopen("/proc/self/maps", "re");

    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        n += !path || strstr(line, path);
    fclose(f);
    return n;
}

static void write_page(struct scene *s, uint64_t page)
{
    s->block->host[page * RAM_PAGE_SIZE + 77] ^= 0xff;
    s->expected[page * RAM_PAGE_SIZE + 77] ^= 0xff;
}

/* A guest that writes between two steps: into pages that are its own already, and into others. */
static void take_over(struct scene *s, struct file_mapping *mapping, const char *label)
{
    struct error err;

    for (uint64_t n = 0; file_mapping_is_left(mapping); n++) {
        for (uint64_t page = n; page < PAGES; page += 97)
            write_page(s, page);
        OK(file_mapping_prepare(mapping, &err), err, label);
        write_page(s, n * 331 % PAGES);
        OK(file_mapping_take_over(mapping, &err), err, label);
    }
}

/* All pages that were read count as resident: the next migration must send them. */
static void check_resident(const struct scene *s, const struct pattern *p)
{
    struct ram_block b = *s->block;
    struct dirty_bitmap d;
    struct error err;

    b.present = NULL;
    OK(dirty_bitmap_init(&d, PAGES, &err), err, p->label);
    OK(ram_resident(&b, &d, &err), err, p->label);
    for (uint64_t n = 0; n < PAGES; n++)
        CHECK(!p->has(n) || d.words[n / 64] >> n % 64 & 1, "%s: page %" PRIu64 " is lost", p->label,
              n);
    dirty_bitmap_done(&d);
}

static void becomes_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        const struct pattern *p = &patterns[i];
        struct file_mapping mapping = {0};
        struct scene s;
        struct error err;

        scene_init(&s, p);
        struct buf before = file_bytes(s.path);
        size_t n = n_mappings(NULL);
        OK(mapped_file_load(&s.file, &s.map, &mapping, 2, &s.cancel, &err), err, p->label);
        CHECK(n_mappings(s.path) == p->n_mapped, "%s: mapped %zu times", p->label,
              n_mappings(s.path));
        take_over(&s, &mapping, p->label);
        CHECK(n_mappings(s.path) == 0, "%s: still mapped", p->label);
        CHECK(n_mappings(NULL) <= n + 2 * p->n_mapped + 2, "%s: %zu mappings, %zu before", p->label,
              n_mappings(NULL), n);
        check_memory(p->label, &s);
        check_resident(&s, p);
        /* From here on the file does not matter any more. */
        struct buf behind = file_bytes(s.path);
        CHECK(before.len == behind.len && memcmp(before.data, behind.data, before.len) == 0,
              "%s: the file was written", p->label);
        CHECK(truncate(s.path, 0) == 0, "truncate");
        check_memory(p->label, &s);
        buf_done(&before);
        buf_done(&behind);
        file_mapping_done(&mapping);
        scene_done(&s);
    }
}

/* Memory that must not be replaced by a mapping is read into. */
static void what_is_not_replaceable_is_read(void **state)
{
    struct file_mapping mapping = {0};
    struct scene s;
    struct error err;

    (void)state;
    scene_init(&s, &patterns[0]);
    s.block->replaceable = false;
    OK(mapped_file_load(&s.file, &s.map, &mapping, 2, &s.cancel, &err), err, "read");
    assert_int_equal(mapping.n, 0);
    check_memory("not replaceable", &s);
    scene_done(&s);
}

/* A file that is cut after it was opened: an error, not a SIGBUS, where we read before the
 * guest. */
static void a_file_that_shrinks(void **state)
{
    struct file_mapping mapping = {0};
    struct scene s;
    struct error err;

    (void)state;
    scene_init(&s, &patterns[0]);
    OK(mapped_file_load(&s.file, &s.map, &mapping, 2, &s.cancel, &err), err, "mapped");
    CHECK(truncate(s.path, PLACE) == 0, "truncate");
    int rc = file_mapping_prepare(&mapping, &err);
    check_refused("mapped", rc, &err, ERR_SYSTEM, "was it cut?");
    file_mapping_done(&mapping);
    scene_done(&s);

    scene_init(&s, &patterns[0]);
    CHECK(truncate(s.path, PLACE + 100 * RAM_PAGE_SIZE) == 0, "truncate");
    check_refused("read", mapped_file_load(&s.file, &s.map, NULL, 2, &s.cancel, &err), &err,
                  ERR_PEER, "RAM block 'm': the file ends");
    scene_done(&s);
}

static void a_cancel_ends_it(void **state)
{
    struct scene s;
    struct error err;

    (void)state;
    scene_init(&s, &patterns[0]);
    cancel_request(&s.cancel);
    check_refused("cancel", mapped_file_load(&s.file, &s.map, NULL, 2, &s.cancel, &err), &err,
                  ERR_CANCELLED, "cancelled");
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(becomes_its_own),
        cmocka_unit_test(what_is_not_replaceable_is_read),
        cmocka_unit_test(a_file_that_shrinks),
        cmocka_unit_test(a_cancel_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
