/* A file_pool over a file: after every round the file equals memory, page by page, and nothing else
 * has changed; a failure in between ends the round for all threads. */
#include "multifd/file_pool.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "multifd/packet.h"
#include "tests/support/memory.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "transport/file_channel.h"

#define WRITERS_MAX 16
#define FRONT       5000 /* bytes of the file before ours */

struct world {
    char path[PATH_MAX];
    int fd;
    struct ram_map map;
    struct mapped_ram mapped[8];
    struct dirty_bitmap *written;
    struct ram_round round;
    struct channel_group group;
    struct page_sink *sink;
    size_t n;
};

static void world_open(struct world *w, const char *path)
{
    struct error err;

    *w = (struct world){0};
    strcpy(w->path, path);
    w->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(w->fd >= 0, "%s", path);
    OK(channel_group_init(&w->group, 0, &err), err, "group");
}

/* Makes memory, its places in the file, and the writers. 0 writers: the caller writes. */
static void world_start(struct world *w, size_t writers, bool direct, struct dirty_source *source)
{
    struct channel *channels[WRITERS_MAX];
    struct error err;

    w->n = MAX(writers, (size_t)1);
    CHECK(ftruncate(w->fd, (off_t)mapped_ram_layout(&w->map, FRONT, w->mapped)) == 0, "extend");
    OK(ram_bitmaps_new(&w->map, &w->written, &err), err, "bitmaps");
    OK(ram_round_init(&w->round, &w->map, false, source, &err), err, "round");
    int fd = direct ? open(w->path, O_RDWR | O_DIRECT | O_CLOEXEC) : dup(w->fd);
    CHECK(fd >= 0, "%s", w->path);
    for (size_t i = 0; i < w->n; i++) {
        OK(file_channel_open(fd, 0, &channels[i], &err), err, "channel");
        OK(channel_group_add(&w->group, channels[i], &err), err, "channel");
    }
    close(fd);
    struct file_pool_config config = {
        .group = &w->group,
        .mapped = w->mapped,
        .written = w->written,
        .channels = channels,
        .n = w->n,
        .threads = writers > 0,
    };
    OK(file_pool_new(&config, &w->sink, &err), err, "pool");
}

static int run_round(struct world *w, struct error *err)
{
    ram_round_restart(&w->round);
    return w->sink->ops->round(w->sink, &w->round, false, err);
}

static void world_close(struct world *w)
{
    w->sink->ops->free(w->sink);
    ram_round_done(&w->round);
    ram_bitmaps_free(w->written, w->map.n);
    ram_map_done(&w->map);
    channel_group_done(&w->group);
    close(w->fd);
    unlink(w->path);
}

/* --- what is in the file ---------------------------------------------------------------------- */

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static void check_hole(const char *label, const struct world *w, uint64_t from, uint64_t to)
{
    static uint8_t bytes[1 << 16];

    for (uint64_t at = from; at < to; at += sizeof(bytes)) {
        size_t len = MIN(sizeof(bytes), to - at);

        CHECK(pread(w->fd, bytes, len, (off_t)at) == (ssize_t)len, "%s: read", label);
        CHECK(is_zero(bytes, len), "%s: bytes at %llu", label, (unsigned long long)at);
    }
}

static void check_page(const char *label, const struct world *w, size_t i, uint64_t page)
{
    const struct ram_block *b = &w->map.blocks[i];
    const uint8_t *memory = b->host + (page << RAM_PAGE_BITS);
    bool has = w->written[i].words[page / 64] >> page % 64 & 1;
    uint8_t bytes[RAM_PAGE_SIZE];

    CHECK(has == !is_zero(memory, RAM_PAGE_SIZE), "%s: block %zu page %llu: bit %d", label, i,
          (unsigned long long)page, has);
    off_t at = (off_t)(w->mapped[i].pages_offset + (page << RAM_PAGE_BITS));
    CHECK(pread(w->fd, bytes, sizeof(bytes), at) == sizeof(bytes), "%s: read", label);
    CHECK(!has || memcmp(bytes, memory, sizeof(bytes)) == 0, "%s: block %zu page %llu differs",
          label, i, (unsigned long long)page);
}

static void check_file(const char *label, const struct world *w)
{
    uint64_t end = 0;
    struct stat st;

    for (size_t i = 0; i < w->map.n; i++) {
        if (w->map.blocks[i].travel != RAM_TRAVELS)
            continue;
        check_hole(label, w, end, w->mapped[i].pages_offset);
        for (uint64_t page = 0; page < ram_block_pages(&w->map.blocks[i]); page++)
            check_page(label, w, i, page);
        end = w->mapped[i].pages_offset + w->map.blocks[i].used_bytes;
    }
    CHECK(fstat(w->fd, &st) == 0 && (uint64_t)st.st_size == end, "%s: the file's length", label);
}

/* --- rounds ----------------------------------------------------------------------------------- */

static void add_blocks(struct world *w)
{
    memory_add(&w->map, "pc.ram", 3000, false);
    memory_add(&w->map, "pc.bios", 64, false);
    memory_add(&w->map, "shared", 700, false)->travel = RAM_IGNORED;
    memory_add(&w->map, "vga", 513, false);
    for (size_t i = 0; i < w->map.n; i++)
        memory_fill(&w->map.blocks[i], (unsigned)i, true);
}

/* Pages get other contents, become zero, and get contents again. */
static void change(struct world *w, unsigned round)
{
    struct ram_block *b = &w->map.blocks[0];

    for (uint64_t page = round; page < ram_block_pages(b); page += 2 + round % 5) {
        memset(b->host + (page << RAM_PAGE_BITS),
               (page + round) % 3 ? (int)(page + round) % 251 : 0, RAM_PAGE_SIZE);
        dirty_bitmap_set(&w->round.dirty[0], page);
    }
}

static void check_counters(const char *label, const struct world *w, uint64_t pages)
{
    uint64_t normal = 0, zero = 0, bytes = 0;

    for (size_t i = 0; i < w->n; i++) {
        struct channel_traffic traffic;
        const struct channel_stats *s = w->sink->ops->stats(w->sink, i, &traffic);

        normal += s->normal;
        zero += s->zero;
        bytes += traffic.bytes;
    }
    CHECK(normal + zero == pages, "%s: %llu + %llu pages counted, not %llu", label,
          (unsigned long long)normal, (unsigned long long)zero, (unsigned long long)pages);
    CHECK(bytes == normal * RAM_PAGE_SIZE, "%s: %llu bytes", label, (unsigned long long)bytes);
}

static const struct pool_case {
    const char *label;
    size_t writers;
    bool direct;
} pool_cases[] = {
    {"the caller", 0, false},          {"1 writer", 1, false},
    {"4 writers", 4, false},           {"16 writers", 16, false},
    {"the caller, O_DIRECT", 0, true}, {"4 writers, O_DIRECT", 4, true},
};

static void the_file_is_memory(void **state)
{
    char path[PATH_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pool_cases); i++) {
        const struct pool_case *c = &pool_cases[i];
        struct world w;
        struct error err;
        uint64_t pages;

        world_open(&w, temp_path(path, "file"));
        add_blocks(&w);
        world_start(&w, c->writers, c->direct, NULL);
        OK(w.sink->ops->round(w.sink, NULL, false, &err), err, c->label);
        round_set_all(&w.round);
        pages = ram_round_dirty_pages(&w.round);
        OK(run_round(&w, &err), err, c->label);
        check_file(c->label, &w);
        for (unsigned round = 1; round <= 6; round++) {
            change(&w, round);
            pages += ram_round_dirty_pages(&w.round);
            OK(run_round(&w, &err), err, c->label);
            check_file(c->label, &w);
        }
        check_counters(c->label, &w, pages);
        world_close(&w);
    }
}

/* Pages that are unchanged in a file are read from it, not from their place in memory. */
static void pages_of_a_file(void **state)
{
    char path[PATH_MAX];
    struct world w;
    struct error err;

    (void)state;
    for (int direct = 0; direct < 2; direct++) {
        world_open(&w, temp_path(path, "file"));
        add_blocks(&w);
        struct ram_block *b = &w.map.blocks[0];
        b->fd = memfd_create("source", MFD_CLOEXEC);
        b->fd_offset = 3 * RAM_PAGE_SIZE;
        CHECK(pwrite(b->fd, b->host, b->used_bytes, (off_t)b->fd_offset) == (ssize_t)b->used_bytes,
              "source");
        OK(ram_block_track(b, &err), err, "present");
        ram_mark_present(b, 0, 2999 * RAM_PAGE_SIZE);
        memset(b->host + (UINT64_C(2999) << RAM_PAGE_BITS), 0, RAM_PAGE_SIZE);
        world_start(&w, 3, direct, NULL);
        round_set_all(&w.round);
        mprotect(b->host, b->used_bytes, PROT_NONE); /* an access to it ends the test */
        OK(run_round(&w, &err), err, "from a file");
        mprotect(b->host, b->used_bytes, PROT_READ);
        check_file("from a file", &w);
        close(b->fd);
        world_close(&w);
    }
}

/* --- failures --------------------------------------------------------------------------------- */

/* Cancels when the third stripe is about to be read. */
struct canceller {
    struct dirty_source base;
    struct channel_group *group;
    _Atomic unsigned stripes;
};

static int cancel_soon(struct dirty_source *s, size_t block, uint64_t first_page, uint64_t n_pages,
                       const uint64_t *words, struct error *err)
{
    struct canceller *c = (struct canceller *)s;

    (void)block;
    (void)first_page;
    (void)n_pages;
    (void)words;
    if (++c->stripes == 3) {
        err_set(err, ERR_CANCELLED, "cancelled");
        channel_group_fail(c->group, err);
    }
    return 0;
}

static const struct dirty_source_ops canceller_ops = {.rearm = cancel_soon};

static void a_cancel_ends_the_round(void **state)
{
    char path[PATH_MAX];

    (void)state;
    for (size_t writers = 0; writers <= 4; writers += 2) {
        struct canceller c = {.base.ops = &canceller_ops};
        struct world w;
        struct error err;

        world_open(&w, temp_path(path, "file"));
        memory_add(&w.map, "pc.ram", 40 * STRIPE_PAGES, false);
        memory_fill(&w.map.blocks[0], 1, false);
        c.group = &w.group;
        world_start(&w, writers, false, &c.base);
        round_set_all(&w.round);
        CHECK(run_round(&w, &err) < 0 && err.kind == ERR_CANCELLED, "%zu writers", writers);
        CHECK(c.stripes < 16, "%zu writers: %u stripes behind a cancel", writers, c.stripes);
        CHECK(run_round(&w, &err) < 0 && err.kind == ERR_CANCELLED, "%zu writers: next", writers);
        world_close(&w);
    }
}

/* A filesystem of one megabyte that only this program sees. */
static bool small_disk(const char *path)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", path, "tmpfs", 0, "size=1m") == 0;
}

static void a_full_disk(void **state)
{
    char disk[PATH_MAX], path[PATH_MAX];

    (void)state;
    CHECK(mkdir(temp_path(disk, "disk"), 0700) == 0, "%s", disk);
    if (!small_disk(disk)) {
        rmdir(disk);
        print_message("a full disk: skipped: no mount namespace of our own here\n");
        skip();
    }
    temp_path(path, "disk/file");
    for (size_t writers = 0; writers <= 4; writers += 4) {
        struct world w;
        struct error err;

        world_open(&w, path);
        memory_add(&w.map, "pc.ram", 3000, false);
        memory_fill(&w.map.blocks[0], 1, false);
        world_start(&w, writers, false, NULL);
        round_set_all(&w.round);
        check_refused("full", run_round(&w, &err), &err, ERR_SYSTEM, "RAM block 'pc.ram': page ");
        CHECK(strstr(err.text, "No space left on device"), "%s", err.text);
        CHECK(writers == 0 || strncmp(err.text, "channel ", 8) == 0, "%s", err.text);
        world_close(&w);
    }
    umount2(disk, MNT_DETACH);
    rmdir(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_is_memory),
        cmocka_unit_test(pages_of_a_file),
        cmocka_unit_test(a_cancel_ends_the_round),
        cmocka_unit_test(a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
