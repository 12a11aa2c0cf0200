#include "capture/partial.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "capture/raw_names.h"
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
        partial_done(&p); /* a second call is fine */
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
    strcat(path, "//"); /* the partial is beside the folder, not in it */
    for (int commit = 0; commit < 2; commit++) {
        AUTO_FD int dir = -1;
        OK(partial_new(&p, path, true, false, &dir, &err), err, "new");
        AUTO_FD int fd = openat(dir, RAW_STREAM, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        AUTO_FD int ram = openat(dir, "ram.m", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && ram >= 0, "files in it");
        if (commit)
            OK(partial_commit(&p, &err), err, "commit");
        partial_done(&p);
        CHECK(temp_entries() == (size_t)commit, "commit %d: %zu entries", commit, temp_entries());
    }
    unlink(temp_path(path, "dir/" RAW_STREAM));
    unlink(temp_path(path, "dir/ram.m"));
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
        snprintf(inside, sizeof(inside), "%s/%s", path, RAW_STREAM);
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

    snprintf(inside, sizeof(inside), "%s/%s", path, RAW_STREAM);
    unlink(inside);
    snprintf(inside, sizeof(inside), "%s/precious", path);
    unlink(inside);
    if (unlink(path) < 0)
        rmdir(path);
}

static const struct exists_case {
    const char *there;
    bool directory, force;
    const char *refused; /* NULL: the target is replaced */
} exists_cases[] = {
    {"file", false, false, "exists already; --force replaces it"},
    {"file", false, true, NULL},
    {"file", true, true, "not a directory: it is not replaced"},
    {"link", false, false, "exists already"},
    {"link", false, true, "not a regular file"},
    {"fifo", false, true, "not a regular file"},
    {"directory", false, true, "not a regular file"},
    {"directory", true, false, "exists already"},
    {"directory", true, true, NULL},
    {"directory of a capture", true, true, NULL},
    {"directory of others", true, true, "holds 'precious', which is no part of a capture"},
};

/* Whether the filesystem can swap two names. */
static bool can_exchange(void)
{
    char a[PATH_MAX], b[PATH_MAX];

    file_write(temp_path(a, "a"), "a", 1);
    file_write(temp_path(b, "b"), "b", 1);
    bool can = renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0;
    unlink(a);
    unlink(b);
    return can;
}

static void what_is_there_is_safe(void **state)
{
    bool exchange = can_exchange();

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
            /* Removing the old target is slow, and the commit must not wait for it. */
            CHECK(temp_entries() == 2 || !exchange, "%s: the old one is gone with the commit",
                  c->there);
        }
        partial_done(&p);
        CHECK(lstat(path, &after) == 0, "%s: gone", c->there);
        CHECK((before.st_ino == after.st_ino) == (c->refused != NULL), "%s: is it replaced?",
              c->there);
        CHECK(temp_entries() == 1, "%s: %zu entries", c->there, temp_entries());
        unmake(path);
    }
}

/* Another program was faster: its file stays. */
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

/* --force covers only the target that was there at first. */
static void a_target_that_changes_meanwhile(void **state)
{
    static const struct {
        const char *first, *then;
        bool directory;
        const char *refused;
    } cases[] = {
        {"file", "link", false, "not a regular file"},
        {"file", "directory", false, "not a regular file"},
        {"nothing", "fifo", false, "not a regular file"},
        {"directory", "file", true, "not a directory"},
        {"directory", "directory of others", true, "holds 'precious'"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[PATH_MAX];
        struct partial p;
        struct error err;
        struct stat before, after;
        AUTO_FD int fd = -1;

        make(cases[i].first, temp_path(path, "target"));
        OK(partial_new(&p, path, cases[i].directory, true, &fd, &err), err, cases[i].then);
        unmake(path);
        make(cases[i].then, path);
        CHECK(lstat(path, &before) == 0, "%s: not made", cases[i].then);
        check_refused(cases[i].then, partial_commit(&p, &err), &err, ERR_SYSTEM, cases[i].refused);
        partial_done(&p);
        CHECK(lstat(path, &after) == 0 && before.st_ino == after.st_ino, "%s: gone", cases[i].then);
        CHECK(temp_entries() == 1, "%s: %zu entries", cases[i].then, temp_entries());
        unmake(path);
    }
}

/* The commit removes the replaced target only if it is still the same. */
static void the_old_one_changes_before_it_goes(void **state)
{
    char path[PATH_MAX], inside[PATH_MAX + 32];
    struct partial p;
    struct error err;
    AUTO_FD int dir = -1;

    (void)state;
    make("directory of a capture", temp_path(path, "target"));
    OK(partial_new(&p, path, true, true, &dir, &err), err, "new");
    OK(partial_commit(&p, &err), err, "commit");
    snprintf(inside, sizeof(inside), "%s/precious", p.temp);
    file_write(inside, "theirs", 6);
    strcpy(inside, p.temp);
    partial_done(&p);
    CHECK(exists(inside), "the old one is gone, with something of somebody else's");
    unmake(inside);
    unmake(path);
    CHECK(temp_entries() == 0, "%zu entries", temp_entries());
}

static void no_descriptor_for_it(void **state)
{
    struct rlimit before, none;
    char path[PATH_MAX];
    struct partial p;
    struct error err;
    int fd = -1;

    (void)state;
    temp_path(path, "target");
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0, "getrlimit");
    none = before;
    none.rlim_cur = 0;
    for (int directory = 0; directory < 2; directory++) {
        CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit");
        int rc = partial_new(&p, path, directory, false, &fd, &err);
        partial_done(&p);
        CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0, "setrlimit");
        check_refused("no descriptor", rc, &err, ERR_SYSTEM, "Too many open files");
        CHECK(temp_entries() == 0, "%zu entries", temp_entries());
    }
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

/* --- writing through to the disk ------------------------------------------------------------- */

int __wrap_fsync(int fd);

static const char *target; /* does it exist when something is synced to the disk? */
static unsigned n_files, n_directories, fail_at;

int __wrap_fsync(int fd)
{
    struct stat st;

    CHECK(fstat(fd, &st) == 0, "fsync of nothing");
    CHECK(!S_ISDIR(st.st_mode) || access(target, F_OK) == 0, "a name before it is there");
    n_files += S_ISREG(st.st_mode);
    n_directories += S_ISDIR(st.st_mode);
    errno = EIO;
    return n_files + n_directories == fail_at ? -1 : 0;
}

/* The contents are synced before the name; where syncing fails, no target is left. */
static void to_the_disk(void **state)
{
    char path[PATH_MAX];

    (void)state;
    target = temp_path(path, "durable");
    for (fail_at = 0; fail_at <= 2; fail_at++) {
        struct partial p;
        struct error err;
        int fd;

        n_files = n_directories = 0;
        OK(partial_new(&p, path, false, false, &fd, &err), err, "new");
        p.sync = true;
        int rc = partial_settle(&p, fd, &err);
        CHECK(n_files == 1 && !exists(path), "settled: %u", n_files);
        if (rc == 0)
            rc = partial_commit(&p, &err);
        close(fd);
        partial_done(&p);
        CHECK((rc == 0) == (fail_at == 0), "failing at %u: %d", fail_at, rc);
        CHECK(n_files == 1 && n_directories == (fail_at != 1), "%u, %u", n_files, n_directories);
        CHECK(temp_entries() == (rc == 0), "failing at %u: %zu entries", fail_at, temp_entries());
        unlink(path);
    }
}

/* Where the new name cannot be synced, the old target gets its name back. */
static void a_name_that_is_taken_back(void **state)
{
    char path[PATH_MAX];
    struct partial p;
    struct error err;
    int fd;

    (void)state;
    target = temp_path(path, "durable");
    file_write(path, "old", 3);
    n_files = n_directories = 0;
    fail_at = 1;
    OK(partial_new(&p, path, false, true, &fd, &err), err, "new");
    p.sync = true;
    check_refused("name", partial_commit(&p, &err), &err, ERR_SYSTEM, "syncing its name to");
    close(fd);
    partial_done(&p);
    check_content(path, "old");
    CHECK(temp_entries() == 1, "%zu entries", temp_entries());
    unlink(path);
}

/* Nothing is synced to the disk unless the caller asked for it. */
static void not_to_the_disk(void **state)
{
    char path[PATH_MAX];
    struct partial p;
    struct error err;
    int fd;

    (void)state;
    fail_at = n_files = n_directories = 0;
    OK(partial_new(&p, temp_path(path, "quick"), false, false, &fd, &err), err, "new");
    OK(partial_settle(&p, fd, &err), err, "settle");
    OK(partial_commit(&p, &err), err, "commit");
    close(fd);
    CHECK(n_files + n_directories == 0, "%u, %u", n_files, n_directories);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_the_disk),
        cmocka_unit_test(a_name_that_is_taken_back),
        cmocka_unit_test(not_to_the_disk),
        cmocka_unit_test(a_file_is_whole_or_absent),
        cmocka_unit_test(a_directory_is_whole_or_absent),
        cmocka_unit_test(what_is_there_is_safe),
        cmocka_unit_test(a_target_that_appears_meanwhile),
        cmocka_unit_test(a_target_that_changes_meanwhile),
        cmocka_unit_test(the_old_one_changes_before_it_goes),
        cmocka_unit_test(no_descriptor_for_it),
        cmocka_unit_test(places_where_nothing_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
