#include "base/fd.h"

#include <sys/mman.h>

#include "tests/support/test.h"

#define WHOLE 1000 /* takes all that is asked for */

static const int *answers; /* of the next calls: bytes taken, or a negated errno */
static size_t calls;

ssize_t __real_pwrite(int fd, const void *bytes, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t at);

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    int answer = answers[calls++];

    if (answer < 0) {
        errno = -answer;
        return -1;
    }
    return __real_pwrite(fd, bytes, MIN(len, (size_t)answer), at);
}

static const struct write_case {
    const char *label;
    int answers[4];
    size_t calls;
    int error; /* 0: everything is written */
} write_cases[] = {
    {"at once", {WHOLE}, 1, 0},
    {"in pieces", {3, 2, WHOLE}, 3, 0},
    {"interrupted", {3, -EINTR, WHOLE}, 3, 0},
    {"refused", {-ENOSPC}, 1, ENOSPC},
    {"refused behind a piece", {3, -EFBIG}, 2, EFBIG},
    {"nothing, and no error", {0}, 1, EIO},
    {"nothing, and no error, behind a piece", {3, 0}, 2, EIO},
};

static void writes_all_or_says_why(void **state)
{
    char back[sizeof("....0123456789") - 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(write_cases); i++) {
        const struct write_case *k = &write_cases[i];
        AUTO_FD int fd = memfd_create("test", MFD_CLOEXEC);

        assert_true(fd >= 0 && __real_pwrite(fd, "....", 4, 0) == 4);
        answers = k->answers;
        calls = 0;
        errno = 0;
        int rc = fd_pwrite_all(fd, "0123456789", 10, 4);
        CHECK(rc == (k->error ? -1 : 0) && (!k->error || errno == k->error), "%s: %d, errno %d",
              k->label, rc, errno);
        CHECK(calls == k->calls, "%s: %zu calls, expected %zu", k->label, calls, k->calls);
        CHECK(k->error || (pread(fd, back, sizeof(back), 0) == sizeof(back) &&
                           memcmp(back, "....0123456789", sizeof(back)) == 0),
              "%s: not what was written", k->label);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(writes_all_or_says_why)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
