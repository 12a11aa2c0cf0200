#include "vmm/memory_backing.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "ram/resident.h"
#include "tests/support/backings.h"
#include "tests/support/pages.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "vmm/numa_bind.h"

#define MIB   (UINT64_C(1) << 20)
#define BYTES (16 * MIB)

/* --- options --------------------------------------------------------------------------------- */

static const struct parse_case {
    const char *text;
    enum memory_kind kind;
    uint64_t page_bytes;
    const char *path;
} parse_cases[] = {
    {"anon", MEMORY_ANON, 0, NULL},
    {"memfd", MEMORY_MEMFD, 0, NULL},
    {"hugetlb", MEMORY_HUGETLB, 2 * MIB, NULL},
    {"hugetlb:2M", MEMORY_HUGETLB, 2 * MIB, NULL},
    {"hugetlb:1G", MEMORY_HUGETLB, 1024 * MIB, NULL},
    {"file:/a:b", MEMORY_FILE, 0, "/a:b"},
};

static const char *const bad_texts[] = {
    "", "ano", "anon:", "memfd:2M", "hugetlb:", "hugetlb:4M", "file", "file:", "FILE:/x", ":anon",
};

static void parses(void **state)
{
    struct memory_backing_config config;
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(parse_cases); i++) {
        const struct parse_case *c = &parse_cases[i];

        OK(memory_backing_parse(c->text, &config, &err), err, c->text);
        CHECK(config.kind == c->kind && config.page_bytes == c->page_bytes, "%s", c->text);
        CHECK(!config.path == !c->path && (!c->path || strcmp(config.path, c->path) == 0), "%s",
              c->text);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad_texts); i++)
        check_refused(bad_texts[i], memory_backing_parse(bad_texts[i], &config, &err), &err,
                      ERR_USAGE, "expected anon|memfd|");
}

/* --- which pages exist ----------------------------------------------------------------------- */

static bool is_set(const struct dirty_bitmap *d, uint64_t page)
{
    return d->words[page / 64] >> page % 64 & 1;
}

static void touch(const struct ram_block *b, uint64_t page, uint64_t seed)
{
    volatile uint8_t *at = b->host + page * RAM_PAGE_SIZE;

    /* Every second page is read first: then it exists, and must not count as untouched
     * after the write. */
    if (seed & 1)
        (void)at[seed % RAM_PAGE_SIZE];
    at[seed % RAM_PAGE_SIZE] = 1;
}

/* No page with contents is ever missing; pages far from any write should be absent. */
static void tells_what_exists(void **state)
{
    (void)state;
    for (size_t i = 0; i < BACKING_CASES; i++) {
        const struct backing_case *c = &backing_cases[i];
        uint64_t random = 1 + i, half = BYTES / 2 / RAM_PAGE_SIZE;
        struct backing memory;
        struct dirty_bitmap d;
        struct error err;

        if (!backing_make(c, BYTES, &memory))
            continue;
        struct ram_block *b = &memory.map.blocks[0];
        OK(dirty_bitmap_init(&d, ram_block_pages(b), &err), err, c->label);
        OK(ram_resident(b, &d, &err), err, c->label);
        CHECK(dirty_bitmap_count(&d) == 0, "%s: %" PRIu64 " pages of untouched memory", c->label,
              dirty_bitmap_count(&d));
        for (unsigned n = 0; n < 300; n++)
            touch(b, next_random(&random) % half, next_random(&random));
        OK(ram_resident(b, &d, &err), err, c->label);
        for (uint64_t page = 0; page < ram_block_pages(b); page++) {
            bool zero = true;

            for (size_t at = 0; at < RAM_PAGE_SIZE && page < half; at++)
                zero = zero && !b->host[page * RAM_PAGE_SIZE + at];
            CHECK(zero || is_set(&d, page), "%s: page %" PRIu64 " is missing", c->label, page);
            CHECK(page < half || !is_set(&d, page) || c->huge_bytes > BYTES,
                  "%s: page %" PRIu64 " was never touched", c->label, page);
        }
        dirty_bitmap_done(&d);
        backing_done(&memory);
    }
}

/* The last byte is writable, and the whole mapping is removed. */
static void is_as_long_as_it_says(void **state)
{
    static const uint64_t lengths[] = {RAM_PAGE_SIZE, 3 * MIB + RAM_PAGE_SIZE, 4 * MIB};

    (void)state;
    for (size_t i = 0; i < BACKING_CASES; i++) {
        for (size_t n = 0; n < ARRAY_LEN(lengths); n++) {
            struct backing memory;
            unsigned char in_core;

            if (!backing_make(&backing_cases[i], lengths[n], &memory))
                continue;
            struct ram_block *b = &memory.map.blocks[0];
            uint8_t *first = b->host, *last = first + ram_block_mapped_bytes(b) - RAM_PAGE_SIZE;
            b->host[0] = 1;
            b->host[lengths[n] - 1] = 1;
            backing_done(&memory);
            CHECK(mincore(first, RAM_PAGE_SIZE, &in_core) < 0 &&
                      mincore(last, RAM_PAGE_SIZE, &in_core) < 0,
                  "%s: still mapped", backing_cases[i].label);
        }
    }
}

/* --- files ----------------------------------------------------------------------------------- */

static int map_file(const char *path, uint64_t bytes, struct ram_map *map, int *ret_fd,
                    struct error *err)
{
    const struct memory_backing_config config = {.kind = MEMORY_FILE, .path = path};

    OK(ram_map_add(map, "pc.ram", bytes, err), *err, path);
    return memory_backing_map(&config, &map->blocks[0], ret_fd, err);
}

static void file_is_kept(void **state)
{
    char path[PATH_MAX];
    struct ram_map map = {0};
    struct error err;
    struct stat st;
    int fd = -1;

    (void)state;
    OK(map_file(temp_path(path, "kept"), BYTES, &map, &fd, &err), err, "a new file");
    memcpy(map.blocks[0].host + 5 * MIB, "guest", 5);

    struct ram_map other = {0};
    int other_fd = -1;
    check_refused("twice", map_file(path, BYTES, &other, &other_fd, &err), &err, ERR_SYSTEM,
                  "in use by another guest");
    ram_map_done(&other);

    ram_map_done(&map);
    fd_close(&fd);
    struct buf bytes = file_bytes(path);
    CHECK(bytes.len == BYTES && memcmp(bytes.data + 5 * MIB, "guest", 5) == 0,
          "what the guest wrote is gone");
    buf_done(&bytes);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "its mode");
}

static const struct file_case {
    const char *label;
    uint64_t length;
    bool data;
    const char *part; /* a part of the refusal, or NULL */
} file_cases[] = {
    {"empty", 0, false, NULL},
    {"a hole of its length", BYTES, false, NULL},
    {"short", MIB, false, "1048576 bytes long, expected 16777216"},
    {"long", 2 * BYTES, false, "33554432 bytes long, expected 16777216"},
    {"with data", BYTES, true, "holds data"},
};

static void files_that_are_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(file_cases); i++) {
        const struct file_case *c = &file_cases[i];
        struct ram_map map = {0};
        char path[PATH_MAX];
        struct error err;
        struct stat st;

        AUTO_FD int made =
            open(temp_path(path, "there"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        CHECK(made >= 0 && ftruncate(made, (off_t)c->length) == 0, "%s", c->label);
        if (c->data)
            CHECK(pwrite(made, "x", 1, 12345) == 1, "%s", c->label);
        AUTO_FD int fd = -1;
        int rc = map_file(path, BYTES, &map, &fd, &err);
        if (c->part)
            check_refused(c->label, rc, &err, ERR_USAGE, c->part);
        else
            OK(rc, err, c->label);
        CHECK(fstat(made, &st) == 0 && (uint64_t)st.st_size == (c->part ? c->length : BYTES),
              "%s: it is %lld bytes long now", c->label, (long long)st.st_size);
        ram_map_done(&map);
    }
}

/* --- a file that a guest uses already -------------------------------------------------------- */

static int map_kept(const char *path, uint64_t bytes, struct ram_map *map, int *ret_fd,
                    struct error *err)
{
    const struct memory_backing_config config = {.kind = MEMORY_FILE, .path = path, .keep = true};

    OK(ram_map_add(map, "pc.ram", bytes, err), *err, path);
    return memory_backing_map(&config, &map->blocks[0], ret_fd, err);
}

/* Both mappings see the same bytes, unchanged; and only one guest may activate the file. */
static void file_of_a_guest(void **state)
{
    struct ram_map first = {0}, second = {0};
    int first_fd = -1, second_fd = -1;
    char path[PATH_MAX];
    struct error err;

    (void)state;
    OK(map_file(temp_path(path, "guest"), BYTES, &first, &first_fd, &err), err, "a new file");
    CHECK(!first.blocks[0].kept && first.blocks[0].shared && first.blocks[0].named,
          "new, but kept");
    memcpy(first.blocks[0].host + 5 * MIB, "guest", 5);
    OK(map_kept(path, BYTES, &second, &second_fd, &err), err, "kept");
    CHECK(second.blocks[0].kept && second.blocks[0].shared && second.blocks[0].named, "not kept");
    CHECK(memcmp(second.blocks[0].host + 5 * MIB, "guest", 5) == 0, "what it holds is gone");
    second.blocks[0].host[0] = 7;
    CHECK(first.blocks[0].host[0] == 7, "it is another memory");

    OK(memory_backing_activate(first_fd, &err), err, "once more");
    for (int i = 0; i < 2; i++) {
        check_refused("claimed", memory_backing_activate(second_fd, &err), &err, ERR_SYSTEM,
                      "in use by another guest");
        memory_backing_deactivate(first_fd);
        OK(memory_backing_activate(second_fd, &err), err, "left to it");
        check_refused("taken over", memory_backing_activate(first_fd, &err), &err, ERR_SYSTEM,
                      "in use by another guest");
        memory_backing_deactivate(second_fd);
        OK(memory_backing_activate(first_fd, &err), err, "taken back");
    }
    ram_map_done(&first);
    fd_close(&first_fd); /* its process has ended */
    OK(memory_backing_activate(second_fd, &err), err, "nobody is left");
    ram_map_done(&second);
    fd_close(&second_fd);
    struct buf bytes = file_bytes(path);
    CHECK(bytes.len == BYTES && memcmp(bytes.data + 5 * MIB, "guest", 5) == 0, "it has changed");
    buf_done(&bytes);
}

static void files_that_are_no_guests(void **state)
{
    static const uint64_t lengths[] = {0, BYTES - RAM_PAGE_SIZE, BYTES + 1, 2 * BYTES};
    struct ram_map map = {0};
    char path[PATH_MAX];
    struct error err;
    struct stat st;
    int fd = -1;

    (void)state;
    check_refused("none", map_kept(temp_path(path, "no-guest"), BYTES, &map, &fd, &err), &err,
                  ERR_SYSTEM, "no-guest: open: No such file");
    CHECK(access(path, F_OK) < 0, "it was made");
    ram_map_done(&map);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        file_write(path, "", 0);
        CHECK(truncate(path, (off_t)lengths[i]) == 0, "truncate");
        check_refused("another length", map_kept(path, BYTES, &map, &fd, &err), &err, ERR_USAGE,
                      "bytes long, expected 16777216: the memory of a guest");
        CHECK(stat(path, &st) == 0 && (uint64_t)st.st_size == lengths[i], "its length has changed");
        ram_map_done(&map);
    }
    check_refused("a device", map_kept("/dev/null", BYTES, &map, &fd, &err), &err, ERR_USAGE,
                  "not a regular file");
    ram_map_done(&map);
}

static void files_that_cannot_be(void **state)
{
    struct ram_map map = {0};
    char path[PATH_MAX];
    struct error err;
    int fd = -1;

    (void)state;
    check_refused("a folder", map_file(temp_dir(), BYTES, &map, &fd, &err), &err, ERR_SYSTEM,
                  "Is a directory");
    ram_map_done(&map);
    check_refused("a device", map_file("/dev/null", BYTES, &map, &fd, &err), &err, ERR_USAGE,
                  "not a regular file");
    ram_map_done(&map);
    CHECK(mkfifo(temp_path(path, "pipe"), 0600) == 0, "mkfifo");
    check_refused("a pipe", map_file(path, BYTES, &map, &fd, &err), &err, ERR_USAGE,
                  "not a regular file");
    ram_map_done(&map);
    check_refused("no folder", map_file("/no/such/folder/x", BYTES, &map, &fd, &err), &err,
                  ERR_SYSTEM, "/no/such/folder/x: open: No such file");
    ram_map_done(&map);
}

/* A new mount with this content; false where this process may not mount. */
static bool mount_here(const char *type, const char *options, char path[static PATH_MAX])
{
    temp_path(path, type);
    CHECK(mkdir(path, 0700) == 0, "mkdir");
    if (mount("none", path, type, 0, options) == 0)
        return true;
    print_message("%s: skipped: mounting one: %m\n", type);
    return false;
}

static void unmount(const char *path)
{
    CHECK(umount(path) == 0 && rmdir(path) == 0, "umount: %m");
}

static void too_little_space(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 8];
    struct ram_map map = {0};
    struct error err;
    int fd = -1;

    (void)state;
    if (!mount_here("tmpfs", "size=8M", folder))
        return;
    snprintf(path, sizeof(path), "%s/m", folder);
    check_refused("tmpfs", map_file(path, BYTES, &map, &fd, &err), &err, ERR_SYSTEM,
                  "not enough space: 16 MiB needed, 8 MiB free");
    CHECK(access(path, F_OK) < 0, "a file is left behind");
    ram_map_done(&map);
    OK(map_file(path, 4 * MIB, &map, &fd, &err), err, "half of it");
    memset(map.blocks[0].host, 1, 4 * MIB);
    ram_map_done(&map);
    fd_close(&fd);
    unmount(folder);
}

/* --- a file system that is served by a program ----------------------------------------------- */

/* Its root holds one file; every name finds it. */
static struct fuse_attr fuse_attr_of(uint64_t node)
{
    return (struct fuse_attr){
        .ino = node,
        .size = node == FUSE_ROOT_ID ? 0 : BYTES,
        .mode = node == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600,
        .nlink = 1,
    };
}

static void fuse_answer(int fd, const struct fuse_in_header *asked, const void *body, size_t len)
{
    struct fuse_out_header head = {.len = (uint32_t)(sizeof(head) + len),
                                   .unique = asked->unique,
                                   .error = body ? 0 : -ENOSYS};
    const struct iovec parts[] = {{&head, sizeof(head)}, {(void *)(uintptr_t)body, len}};

    (void)!writev(fd, parts, 2); /* the asking thread may be gone */
}

static void fuse_serve(int fd, const struct fuse_in_header *asked)
{
    const struct fuse_init_out init = {.major = 7, .minor = 31, .max_write = 4096};
    const struct fuse_attr_out attr = {.attr_valid = 60, .attr = fuse_attr_of(asked->nodeid)};
    const struct fuse_entry_out entry = {
        .nodeid = 2, .entry_valid = 60, .attr_valid = 60, .attr = fuse_attr_of(2)};
    const struct fuse_open_out opened = {.fh = 1};
    const struct fuse_statfs_out statfs = {.st.bsize = 4096};

    switch (asked->opcode) {
    case FUSE_INIT:
        return fuse_answer(fd, asked, &init, sizeof(init));
    case FUSE_GETATTR:
        return fuse_answer(fd, asked, &attr, sizeof(attr));
    case FUSE_LOOKUP:
        return fuse_answer(fd, asked, &entry, sizeof(entry));
    case FUSE_OPEN:
        return fuse_answer(fd, asked, &opened, sizeof(opened));
    case FUSE_STATFS:
        return fuse_answer(fd, asked, &statfs, sizeof(statfs));
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
        return; /* no thread waits for an answer */
    default:
        fuse_answer(fd, asked, NULL, 0);
    }
}

/* Until it is unmounted. */
static void *fuse_main(void *arg)
{
    union {
        struct fuse_in_header head;
        uint8_t bytes[FUSE_MIN_READ_BUFFER + 4096];
    } asked;
    int fd = *(int *)arg;

    while (read(fd, &asked, sizeof(asked)) > 0)
        fuse_serve(fd, &asked.head);
    return NULL;
}

static void refuses_fuse(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 8], options[80];
    AUTO_FD int server = open("/dev/fuse", O_RDWR | O_CLOEXEC), fd = -1;
    struct ram_map map = {0};
    struct error err;
    pthread_t thread;

    (void)state;
    if (server < 0) {
        print_message("skipped: /dev/fuse: %m\n");
        return;
    }
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u", server,
             getuid(), getgid());
    if (!mount_here("fuse", options, folder))
        return;
    CHECK(pthread_create(&thread, NULL, fuse_main, &server) == 0, "thread");
    snprintf(path, sizeof(path), "%s/m", folder);
    int rc = map_file(path, BYTES, &map, &fd, &err);
    ram_map_done(&map);
    fd_close(&fd);
    unmount(folder);
    pthread_join(thread, NULL);
    check_refused("FUSE", rc, &err, ERR_USAGE, "on FUSE, which does not tell");
}

/* --- huge pages ------------------------------------------------------------------------------ */

static void too_few_huge_pages(void **state)
{
    static const struct {
        const char *text;
        uint64_t page_bytes;
        const char *part;
    } cases[] = {
        {"hugetlb", 2 * MIB,
         "8 huge pages of 2 MiB needed, 0 free: raise vm.nr_hugepages, which is "},
        {"hugetlb:1G", 1024 * MIB,
         "1 huge pages of 1024 MiB needed, 0 free: raise /sys/kernel/mm/hugepages/"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FD int lock = huge_pages_lock(cases[i].page_bytes);
        struct memory_backing_config config;
        struct ram_map map = {0};
        struct error err;
        int fd = -1;

        if (lock < 0 || huge_pages_get(cases[i].page_bytes) > 0) {
            print_message("%s: skipped: this host has some\n", cases[i].text);
            continue;
        }
        OK(memory_backing_parse(cases[i].text, &config, &err), err, cases[i].text);
        OK(ram_map_add(&map, "pc.ram", BYTES, &err), err, cases[i].text);
        check_refused(cases[i].text, memory_backing_map(&config, &map.blocks[0], &fd, &err), &err,
                      ERR_SYSTEM, cases[i].part);
        ram_map_done(&map);
    }
}

/* A file of huge pages has no holes, but it has page tables. */
static void file_of_huge_pages(void **state)
{
    const struct backing_case pages = {"set aside", "hugetlb", NULL, 2 * MIB,
                                       MEMORY_SHARED_USUALLY};
    char folder[PATH_MAX], path[PATH_MAX + 8];
    struct backing memory;
    struct ram_map map = {0};
    struct dirty_bitmap d;
    struct error err;
    int fd = -1;

    (void)state;
    if (!backing_make(&pages, BYTES, &memory))
        return;
    ram_map_done(&memory.map); /* its pages are free now, but still reserved */
    fd_close(&memory.fd);
    if (mount_here("hugetlbfs", "pagesize=2M", folder)) {
        snprintf(path, sizeof(path), "%s/m", folder);
        OK(map_file(path, 3 * MIB, &map, &fd, &err), err, "hugetlbfs");
        struct ram_block *b = &map.blocks[0];
        CHECK(b->host_page_bytes == 2 * MIB && ram_block_mapped_bytes(b) == 4 * MIB, "its length");
        b->host[b->used_bytes - 1] = 1;
        OK(dirty_bitmap_init(&d, ram_block_pages(b), &err), err, "bitmap");
        OK(ram_resident(b, &d, &err), err, "resident");
        CHECK(dirty_bitmap_count(&d) == 256 && is_set(&d, ram_block_pages(b) - 1),
              "%" PRIu64 " pages exist, expected the last huge page's", dirty_bitmap_count(&d));
        dirty_bitmap_done(&d);
        ram_map_done(&map);
        fd_close(&fd);
        check_refused("used before", map_file(path, 4 * MIB, &map, &fd, &err), &err, ERR_USAGE,
                      "holds data");
        ram_map_done(&map);
        unmount(folder);
    }
    backing_done(&memory);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static void binds_to_nodes(void **state)
{
    static const char *const bad[] = {"", "x", "0,", ",0", "0-", "1-0", "0 ", "-1", "+0", "0;1"};
    struct numa_nodes nodes;
    struct error err;

    (void)state;
    if (numa_usable(&err) < 0) {
        print_message("skipped: %s\n", err.text);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_refused(bad[i], numa_nodes_parse(bad[i], &nodes, &err), &err, ERR_USAGE, "NUMA node");
    check_refused("far", numa_nodes_parse("0,1023", &nodes, &err), &err, ERR_USAGE,
                  "NUMA node 1023 does not exist");
    check_refused("farther", numa_nodes_parse("99999999999999999999", &nodes, &err), &err,
                  ERR_USAGE, "does not exist");
    OK(numa_nodes_parse("0,0-0", &nodes, &err), err, "node 0");
    CHECK(numa_nodes_has(&nodes, 0) && !numa_nodes_has(&nodes, 1), "which nodes");
    for (size_t i = 0; i < BACKING_CASES; i++) {
        struct memory_backing_config config;
        struct backing memory;

        if (strncmp(backing_cases[i].text, "file:", 5) == 0 ||
            !backing_make(&backing_cases[i], 4 * MIB, &memory))
            continue;
        ram_map_done(&memory.map); /* again, on a node */
        fd_close(&memory.fd);
        OK(memory_backing_parse(backing_cases[i].text, &config, &err), err, "parse");
        config.numa = "0";
        OK(ram_map_add(&memory.map, "pc.ram", 4 * MIB, &err), err, "block");
        struct ram_block *b = &memory.map.blocks[0];
        OK(memory_backing_map(&config, b, &memory.fd, &err), err, backing_cases[i].label);
        memset(b->host, 1, b->used_bytes);
        backing_done(&memory);
    }
}

/* --- memory that exists already -------------------------------------------------------------- */

static void hand(struct cpr_state *state, const char *name, int fd)
{
    struct error err;

    state->n = 0;
    OK(cpr_state_add(state, name, fcntl(fd, F_DUPFD_CLOEXEC, 0), &err), err, name);
}

/* The same pages: all are known to exist although this mapping has touched none of them. */
static void find_it_there(const struct backing_case *c, struct backing *b, uint64_t bytes)
{
    struct memory_backing_config config;
    struct ram_map map = {0};
    struct cpr_state state;
    struct dirty_bitmap found;
    struct error err;
    char text[PATH_MAX + 8];
    int fd;

    snprintf(text, sizeof(text), "%s%s", c->text, b->path);
    OK(memory_backing_parse(text, &config, &err), err, c->label);
    config.sharing = c->sharing;
    config.handed = &state;
    hand(&state, "pc.ram", b->fd);
    memset(b->map.blocks[0].host + 3 * RAM_PAGE_SIZE, 0x5a, RAM_PAGE_SIZE);
    OK(ram_map_add(&map, "pc.ram", bytes, &err), err, c->label);
    OK(memory_backing_map(&config, &map.blocks[0], &fd, &err), err, c->label);
    CHECK(!cpr_state_left(&state), "%s: it was taken", c->label);
    CHECK(fd >= 0 && map.blocks[0].shared && map.blocks[0].memory_fd == fd, "%s", c->label);
    CHECK(map.blocks[0].named == b->map.blocks[0].named, "%s: named", c->label);
    OK(dirty_bitmap_init(&found, ram_block_pages(&map.blocks[0]), &err), err, c->label);
    OK(ram_resident(&map.blocks[0], &found, &err), err, c->label);
    CHECK(atomic_load(&found.words[0]) >> 3 & 1, "%s: what another wrote is not known of",
          c->label);
    CHECK(map.blocks[0].host[3 * RAM_PAGE_SIZE] == 0x5a, "%s: other memory", c->label);
    dirty_bitmap_done(&found);
    ram_map_done(&map);
    fd_close(&fd);
}

static void takes_over_what_is_handed(void **state)
{
    (void)state;
    for (size_t i = 0; i < BACKING_CASES; i++) {
        uint64_t bytes = MAX(BYTES, backing_cases[i].huge_bytes);
        struct backing b;

        if (!backing_make(&backing_cases[i], bytes, &b))
            continue;
        if (b.map.blocks[0].shared) /* private memory cannot be found again */
            find_it_there(&backing_cases[i], &b, bytes);
        backing_done(&b);
    }
}

enum what { A_MEMFD, A_SHORT_MEMFD, A_FILE, A_DEVICE, A_READER, CLOSED };

static const struct handed_case {
    const char *label, *kind, *name;
    enum what what;
    const char *part;
} handed_cases[] = {
    {"anon", "anon", "pc.ram", A_MEMFD, "give both the same --backend"},
    {"another name", "memfd", "other", A_MEMFD, "'pc.ram': it was not handed over"},
    {"too short", "memfd", "pc.ram", A_SHORT_MEMFD, "give both the same --memory"},
    {"a file for a memfd", "memfd", "pc.ram", A_FILE, "no memfd of small pages"},
    {"a memfd for huge pages", "hugetlb", "pc.ram", A_MEMFD, "no memfd of huge pages of 2 MiB"},
    {"a memfd for a file", "file:", "pc.ram", A_MEMFD, "another file than"},
    {"a device", "memfd", "pc.ram", A_DEVICE, "neither a memfd nor a regular file"},
    {"for reading only", "file:", "pc.ram", A_READER, "Permission denied"},
    {"not open", "memfd", "pc.ram", CLOSED, "it was not handed over"},
};

static int make_what(enum what what, const char *path)
{
    int fd = -1;

    if (what == A_DEVICE)
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    if (what == A_FILE || what == A_READER)
        fd = open(path, (what == A_FILE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (what == A_MEMFD || what == A_SHORT_MEMFD)
        fd = memfd_create("x", MFD_CLOEXEC);
    if (what == A_MEMFD || what == A_SHORT_MEMFD)
        CHECK(ftruncate(fd, what == A_MEMFD ? BYTES : BYTES - RAM_PAGE_SIZE) == 0, "length");
    return fd;
}

static void refuses_what_is_handed(void **state)
{
    char path[PATH_MAX];

    (void)state;
    temp_path(path, "handed");
    file_write(path, "", 0);
    CHECK(truncate(path, BYTES) == 0, "length");
    for (size_t i = 0; i < ARRAY_LEN(handed_cases); i++) {
        const struct handed_case *c = &handed_cases[i];
        struct memory_backing_config config;
        struct cpr_state list = {.n = 1};
        struct ram_map map = {0};
        char text[PATH_MAX + 8];
        struct error err;
        int fd = make_what(c->what, path);

        snprintf(text, sizeof(text), "%s%s", c->kind, strcmp(c->kind, "file:") == 0 ? path : "");
        OK(memory_backing_parse(text, &config, &err), err, c->label);
        config.handed = &list;
        list.entries[0].fd = fd;
        strcpy(list.entries[0].name, c->name);
        OK(ram_map_add(&map, "pc.ram", BYTES, &err), err, c->label);
        int rc = memory_backing_map(&config, &map.blocks[0], &fd, &err);
        CHECK(rc == -1 && says(&err, c->part), "%s: %s", c->label, err.text);
        CHECK(!map.blocks[0].host && map.blocks[0].fd < 0, "%s: half-made", c->label);
        ram_map_done(&map);
        cpr_state_close(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_over_what_is_handed),
        cmocka_unit_test(refuses_what_is_handed),
        cmocka_unit_test(parses),
        cmocka_unit_test(tells_what_exists),
        cmocka_unit_test(is_as_long_as_it_says),
        cmocka_unit_test(file_is_kept),
        cmocka_unit_test(files_that_are_there),
        cmocka_unit_test(file_of_a_guest),
        cmocka_unit_test(files_that_are_no_guests),
        cmocka_unit_test(files_that_cannot_be),
        cmocka_unit_test(too_little_space),
        cmocka_unit_test(refuses_fuse),
        cmocka_unit_test(too_few_huge_pages),
        cmocka_unit_test(file_of_huge_pages),
        cmocka_unit_test(binds_to_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
