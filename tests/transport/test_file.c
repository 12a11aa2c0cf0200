/* A file as one end of a migration: which program may open it, and what is left of it. */
#include "transport/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

static struct address at(const char *name, const char *offset)
{
    char path[PATH_MAX], text[PATH_MAX + 40];
    struct address a;
    struct error err;

    snprintf(text, sizeof(text), "file:%s%s", temp_path(path, name), offset);
    OK(address_parse(text, &a, &err), err, text);
    return a;
}

static void source(const struct address *a, int *ret_fd)
{
    struct error err;
    uint64_t bytes;

    OK(file_source_open(a, ret_fd, &bytes, &err), err, a->text);
}

/* Many may read it at once; no writer may empty it meanwhile, and nobody reads while it is
 * written. */
static void readers_and_a_writer(void **state)
{
    struct address a = at("locked", "");
    struct file_target target, second;
    int first, other;
    uint64_t bytes;
    struct error err;

    (void)state;
    file_write(a.file, "0123456789", 10);
    source(&a, &first);
    source(&a, &other);
    check_refused("read", file_target_open(&a, &target, &err), &err, ERR_USAGE, "in use");
    fd_close(&first);
    check_refused("read by one", file_target_open(&a, &target, &err), &err, ERR_USAGE, "in use");
    struct buf b = file_bytes(a.file);
    assert_int_equal(b.len, 10);
    buf_done(&b);
    fd_close(&other);
    OK(file_target_open(&a, &target, &err), err, "nobody reads");
    check_refused("written twice", file_target_open(&a, &second, &err), &err, ERR_USAGE, "in use");
    check_refused("written", file_source_open(&a, &first, &bytes, &err), &err, ERR_USAGE,
                  "another VM writes it");
    file_target_done(&target);
    source(&a, &first);
    fd_close(&first);
    unlink(a.file);
}

static void offsets(void **state)
{
    struct address a = at("offset", ",offset=4"), behind = at("offset", ",offset=11");
    int fd;
    uint64_t bytes;
    struct error err;

    (void)state;
    file_write(a.file, "0123456789", 10);
    OK(file_source_open(&a, &fd, &bytes, &err), err, "inside");
    assert_int_equal(bytes, 10);
    fd_close(&fd);
    check_refused("behind the end", file_source_open(&behind, &fd, &bytes, &err), &err, ERR_USAGE,
                  "shorter than offset=11");
    unlink(a.file);
}

/* The same file by another descriptor, even if another file has its name by now. */
static void directly(void **state)
{
    struct address a = at("direct", "");
    char *page = aligned_alloc(4096, 4096);
    struct stat one, two;
    int fd, direct = -1;
    struct error err;

    (void)state;
    assert_non_null(page);
    memset(page, 'x', 4096);
    file_write(a.file, page, 4096);
    source(&a, &fd);
    unlink(a.file);
    if (file_direct_open(a.file, fd, O_RDONLY, &direct, &err) < 0) {
        CHECK(strstr(err.text, "switch direct-io off"), "%s", err.text);
    } else {
        CHECK(fstat(fd, &one) == 0 && fstat(direct, &two) == 0 && one.st_ino == two.st_ino,
              "another file");
        CHECK(fcntl(direct, F_GETFL) & O_DIRECT, "through the page cache");
        memset(page, 0, 4096);
        CHECK(pread(direct, page, 4096, 0) == 4096 && page[4095] == 'x', "read");
    }
    fd_close(&direct);
    fd_close(&fd);
    free(page);
}

static void no_regular_files(void **state)
{
    struct address a = at("", ""), none = at("none", "");
    uint64_t bytes;
    struct error err;
    int fd;

    (void)state;
    check_refused("a folder", file_source_open(&a, &fd, &bytes, &err), &err, ERR_USAGE,
                  "neither a regular file nor a block device");
    check_refused("nothing", file_source_open(&none, &fd, &bytes, &err), &err, ERR_SYSTEM,
                  "No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_and_a_writer),
        cmocka_unit_test(offsets),
        cmocka_unit_test(directly),
        cmocka_unit_test(no_regular_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
