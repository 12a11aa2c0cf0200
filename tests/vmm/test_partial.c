#include "vmm/partial.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static void check_content(const char *path, const char *want)
{
    struct buf b = file_bytes(path);

    CHECK(b.len == strlen(want) && memcmp(b.data, want, b.len) == 0, "%s: other bytes", path);
    buf_done(&b);
}

static void a_file_is_whole_or_absent(void **state)
{
    char path[PATH_MAX];
    struct partial p;
    struct error err;

    (void)state;
    temp_path(path, "file");
    for (int commit = 0; commit < 2; commit++) {
        AUTO_FD int fd = -1;
        OK(partial_new(&p, path, false, false, &fd, &err), err, "new");
        CHECK(!exists(path), "it has its name too early");
        CHECK(write(fd, "bytes", 5) == 5, "write");
        if (commit)
            OK(partial_commit(&p, &err), err, "commit");
        partial_done(&p);
        partial_done(&p); /* twice is fine */
        CHECK(exists(path) == (bool)commit, "commit %d: is it there?", commit);
        CHECK(temp_entries() == (size_t)commit, "commit %d: %zu files", commit, temp_entries());
    }
    check_content(path, "bytes");
    unlink(path);
}

static void a_directory_is_whole_or_absent(void **state)
{
    char path[PATH_MAX];
    struct partial p;
    struct error err;

    (void)state;
    temp_path(path, "dir");
    strcat(path, "//"); /* its partial lies beside it, not in it */
    for (int commit = 0; commit < 2; commit++) {
        AUTO_FD int dir = -1;
        OK(partial_new(&p, path, true, false, &dir, &err), err, "new");
        AUTO_FD int fd = openat(dir, PARTIAL_STREAM, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        AUTO_FD int ram = openat(dir, PARTIAL_PREFIX "m", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && ram >= 0, "files in it");
        if (commit)
            OK(partial_commit(&p, &err), err, "commit");
        partial_done(&p);
        CHECK(temp_entries() == (size_t)commit, "commit %d: %zu entries", commit, temp_entries());
    }
    unlink(temp_path(path, "dir/" PARTIAL_STREAM));
    unlink(temp_path(path, "dir/" PARTIAL_PREFIX "m"));
    rmdir(temp_path(path, "dir"));
}

static void make(const char *what, const char *path)
{
    char inside[PATH_MAX + 16];

    if (strcmp(what, "file") == 0)
        file_write(path, "old", 3);
    if (strcmp(what, "link") == 0)
        CHECK(symlink("nowhere", path) == 0, "symlink");
    if (strcmp(what, "fifo") == 0)
        CHECK(mkfifo(path, 0600) == 0, "mkfifo");
    if (strncmp(what, "directory", 9) == 0)
        CHECK(mkdir(path, 0700) == 0, "mkdir");
    if (strcmp(what, "directory of a capture") == 0) {
        snprintf(inside, sizeof(inside), "%s/%s", path, PARTIAL_STREAM);
        file_write(inside, "old", 3);
    }
    if (strcmp(what, "directory of others") == 0) {
        snprintf(inside, sizeof(inside), "%s/precious", path);
        file_write(inside, "old", 3);
    }
}

static void unmake(const char *path)
{
    char inside[PATH_MAX + 16];

    snprintf(inside, sizeof(inside), "%s/%s", path, PARTIAL_STREAM);
    unlink(inside);
    snprintf(inside, sizeof(inside), "%s/precious", path);
    unlink(inside);
    if (unlink(path) < 0)
        rmdir(path);
}

static const struct exists_case {
    const char *there;
    bool directory, force;
    const char *refused; /* NULL: it is replaced */
} exists_cases[] = {
    {"file", false, false, "exists already; --force replaces it"},
    {"file", false, true, NULL},
    {"file", true, true, "not a directory: --force does not replace it"},
    {"link", false, false, "exists already"},
    {"link", false, true, "not a regular file"},
    {"fifo", false, true, "not a regular file"},
    {"directory", false, true, "not a regular file"},
    {"directory", true, false, "exists already"},
    {"directory", true, true, NULL},
    {"directory of a capture", true, true, NULL},
    {"directory of others", true, true, "holds 'precious', which is not of a capture"},
};

static void what_is_there_is_safe(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(exists_cases); i++) {
        const struct exists_case *c = &exists_cases[i];
        char path[PATH_MAX];
        struct partial p = {0};
        struct error err;
        struct stat before, after;
        AUTO_FD int fd = -1;

        make(c->there, temp_path(path, "target"));
        CHECK(lstat(path, &before) == 0, "%s: not made", c->there);
        int rc = partial_new(&p, path, c->directory, c->force, &fd, &err);
        if (c->refused) {
            check_refused(c->there, rc, &err, ERR_SYSTEM, c->refused);
        } else {
            OK(rc, err, c->there);
            OK(partial_commit(&p, &err), err, c->there);
        }
        partial_done(&p);
        CHECK(lstat(path, &after) == 0, "%s: gone", c->there);
        CHECK((before.st_ino == after.st_ino) == (c->refused != NULL), "%s: is it replaced?",
              c->there);
        CHECK(temp_entries() == 1, "%s: %zu entries", c->there, temp_entries());
        unmake(path);
    }
}

/* Somebody else was faster: theirs stays. */
static void a_target_that_appears_meanwhile(void **state)
{
    char path[PATH_MAX];
    struct partial p;
    struct error err;
    AUTO_FD int fd = -1;

    (void)state;
    OK(partial_new(&p, temp_path(path, "target"), false, false, &fd, &err), err, "new");
    file_write(path, "theirs", 6);
    check_refused("commit", partial_commit(&p, &err), &err, ERR_SYSTEM, "File exists");
    partial_done(&p);
    check_content(path, "theirs");
    CHECK(temp_entries() == 1, "%zu entries", temp_entries());
    unlink(path);
}

static void places_where_nothing_can_be(void **state)
{
    char path[PATH_MAX], longer[PATH_MAX + 32];
    struct partial p;
    struct error err;
    int fd = -1;

    (void)state;
    check_refused("no folder",
                  partial_new(&p, temp_path(path, "no/where"), false, false, &fd, &err), &err,
                  ERR_SYSTEM, "No such file or directory");
    partial_done(&p);
    CHECK(partial_new(&p, "", false, false, &fd, &err) < 0, "an empty path");
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = 0;
    CHECK(partial_new(&p, longer, true, true, &fd, &err) < 0, "an endless path");
    CHECK(fd == -1, "the result was touched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_whole_or_absent),
        cmocka_unit_test(a_directory_is_whole_or_absent),
        cmocka_unit_test(what_is_there_is_safe),
        cmocka_unit_test(a_target_that_appears_meanwhile),
        cmocka_unit_test(places_where_nothing_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
