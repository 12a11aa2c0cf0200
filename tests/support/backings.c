#include "tests/support/backings.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

#define TMPFS "/dev/shm"

const struct backing_case backing_cases[BACKING_CASES] = {
    {"anon", "anon", NULL, 0, MEMORY_SHARED_USUALLY},
    {"memfd", "memfd", NULL, 0, MEMORY_SHARED_USUALLY},
    {"hugetlb of 2M", "hugetlb", NULL, UINT64_C(2) << 20, MEMORY_SHARED_USUALLY},
    {"hugetlb of 1G", "hugetlb:1G", NULL, UINT64_C(1) << 30, MEMORY_SHARED_USUALLY},
    {"file on tmpfs", "file:", TMPFS, 0, MEMORY_SHARED_USUALLY},
    {"file on disk", "file:", NULL, 0, MEMORY_SHARED_USUALLY},
    {"anon, shared", "anon", NULL, 0, MEMORY_SHARED},
    {"memfd, private", "memfd", NULL, 0, MEMORY_PRIVATE},
    {"hugetlb of 2M, private", "hugetlb", NULL, UINT64_C(2) << 20, MEMORY_PRIVATE},
    {"file on disk, private", "file:", NULL, 0, MEMORY_PRIVATE},
};

/* --- huge pages ------------------------------------------------------------------------------ */

static int open_nr(uint64_t page_bytes, int flags)
{
    char path[128];

    snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/nr_hugepages",
             page_bytes >> 10);
    return open(path, flags | O_CLOEXEC);
}

uint64_t huge_pages_get(uint64_t page_bytes)
{
    char text[32] = "";
    AUTO_FD int fd = open_nr(page_bytes, O_RDONLY);

    return fd < 0 || read(fd, text, sizeof(text) - 1) < 0 ? 0 : strtoull(text, NULL, 10);
}

bool huge_pages_set(uint64_t page_bytes, uint64_t n)
{
    AUTO_FD int fd = open_nr(page_bytes, O_WRONLY);

    if (fd < 0 || dprintf(fd, "%" PRIu64, n) < 0)
        return false;
    return huge_pages_get(page_bytes) >= n;
}

int huge_pages_lock(uint64_t page_bytes)
{
    int fd = open_nr(page_bytes, O_RDONLY);

    if (fd >= 0)
        CHECK(flock(fd, LOCK_EX) == 0, "flock");
    return fd;
}

static bool set_aside(const struct backing_case *c, uint64_t bytes, struct backing *b)
{
    uint64_t n = ALIGN_UP(bytes, c->huge_bytes) / c->huge_bytes;

    b->huge_bytes = c->huge_bytes;
    b->huge_lock = huge_pages_lock(c->huge_bytes);
    b->huge_before = huge_pages_get(c->huge_bytes);
    if (huge_pages_set(c->huge_bytes, b->huge_before + n))
        return true;
    print_message("%s: skipped: this host gives no %" PRIu64 " huge pages more\n", c->label, n);
    return false;
}

/* --- memory ---------------------------------------------------------------------------------- */

static void name_file(const struct backing_case *c, char *ret)
{
    static unsigned serial;

    if (c->folder)
        snprintf(ret, PATH_MAX, "%s/ramjet-test-%d-%u", c->folder, (int)getpid(), serial++);
    else
        snprintf(ret, PATH_MAX, "%s/memory-%u", temp_dir(), serial++);
}

static void map_memory(const struct backing_case *c, uint64_t bytes, struct backing *b)
{
    struct memory_backing_config config;
    char text[PATH_MAX + 8];
    struct error err;

    if (strcmp(c->text, "file:") == 0)
        name_file(c, b->path);
    snprintf(text, sizeof(text), "%s%s", c->text, b->path);
    OK(memory_backing_parse(text, &config, &err), err, c->label);
    config.sharing = c->sharing;
    OK(ram_map_add(&b->map, "pc.ram", bytes, &err), err, c->label);
    OK(memory_backing_map(&config, &b->map.blocks[0], &b->fd, &err), err, c->label);
}

bool backing_make(const struct backing_case *c, uint64_t bytes, struct backing *ret)
{
    *ret = (struct backing){.fd = -1, .huge_lock = -1};
    if (c->folder && access(c->folder, W_OK) < 0) {
        print_message("%s: skipped: no %s to write to\n", c->label, c->folder);
        return false;
    }
    if (c->huge_bytes && !set_aside(c, bytes, ret)) {
        backing_done(ret);
        return false;
    }
    map_memory(c, bytes, ret);
    return true;
}

void backing_done(struct backing *b)
{
    ram_map_done(&b->map);
    fd_close(&b->fd);
    if (b->path[0])
        unlink(b->path);
    if (b->huge_bytes)
        (void)!huge_pages_set(b->huge_bytes, b->huge_before);
    fd_close(&b->huge_lock);
}
