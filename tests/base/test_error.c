#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/support/test.h"

static void sets_kind_and_text(void **state)
{
    struct error err;

    (void)state;
    assert_int_equal(err_set(&err, ERR_PEER, "magic 0x%08x, want 0x%08x", 1U, 2U), -1);
    assert_int_equal(err.kind, ERR_PEER);
    assert_int_equal(err.sys, 0);
    assert_string_equal(err.text, "magic 0x00000001, want 0x00000002");
}

static void adds_errno(void **state)
{
    struct error err;

    (void)state;
    errno = ENOENT;
    assert_int_equal(err_sys(&err, "open %s", "x"), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(err.sys, ENOENT);
    assert_string_equal(err.text, "open x: No such file or directory");
}

static void puts_context_in_front(void **state)
{
    struct error err;

    (void)state;
    errno = EPIPE;
    err_sys(&err, "send");
    err_in(&err, "multifd packet");
    assert_int_equal(err_in(&err, "channel %d", 3), -1);
    assert_string_equal(err.text, "channel 3: multifd packet: send: Broken pipe");
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(err.sys, EPIPE);
}

/* The remedy and the subject of an error survive whatever text is put around it. */
static void has_a_remedy(void **state)
{
    struct error err;
    char line[ERR_LINE_LEN];

    (void)state;
    err_set(&err, ERR_PEER, "no answer");
    assert_int_equal(err.remedy, REMEDY_NONE);
    err_line(&err, " (unheard)", line);
    assert_string_equal(line, "no answer");
    assert_int_equal(err_remedy(&err, REMEDY_STALL_TIMEOUT), -1);
    err_add(&err, ", %d bytes came", 3);
    err_in(&err, "channel %d", 2);
    err_in(&err, "main");
    assert_int_equal(err.remedy, REMEDY_STALL_TIMEOUT);
    assert_string_equal(err.text, "main: channel 2: no answer, 3 bytes came");
    err_line(&err, " (--wait)", line);
    assert_string_equal(line, "main: channel 2: no answer (--wait), 3 bytes came");
    err_line(&err, "", line);
    assert_string_equal(line, err.text);
    assert_int_equal(err_set_with(&err, ERR_USAGE, REMEDY_FORCE, "%s: exists already", "x"), -1);
    err_line(&err, "; replace it", line);
    assert_string_equal(line, "x: exists already; replace it");
    errno = EPIPE;
    err_sys(&err, "send");
    assert_int_equal(err.remedy, REMEDY_NONE);
}

/* A text that is too long is cut at its end. */
static void a_remedy_of_a_long_text(void **state)
{
    struct error err;
    char line[ERR_LINE_LEN];

    (void)state;
    err_set_with(&err, ERR_PEER, REMEDY_FORCE, "%0500d", 7);
    for (int i = 0; i < 3; i++)
        err_in(&err, "%0100d", 8);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    err_line(&err, "; replace it", line);
    assert_int_equal(strlen(line), strlen(err.text) + strlen("; replace it"));
    assert_string_equal(line + strlen(err.text), "; replace it");
}

static const struct reason_case {
    const char *label;
    int sys;
    const char *want, *also; /* parts */
} reason_cases[] = {
    {"plain", ENOSPC, "No space left on device", ""},
    {"negated", -ENOSPC, "No space left on device", ""},
    {"none", 0, "no reason given", ""},
    {"the kernel's own", 524, "error number 524, which has no name", ""},
    {"beyond all", 1 << 30, "error number 1073741824, which has no name", ""},
    {"below all", INT_MIN, "error number -2147483648, which has no name", ""},
    {"descriptors", EMFILE, "Too many open files: ", "RLIMIT_NOFILE allows; raise it (ulimit -n)"},
    {"descriptors under way", ETOOMANYREFS, "RLIMIT_NOFILE", "(ulimit -n)"},
    {"files", ENFILE, "Too many open files in system: ", "fs.file-max"},
};

static void reasons(void **state)
{
    struct rlimit limit;
    char reason[ERR_REASON_LEN], figure[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(reason_cases); i++) {
        const struct reason_case *c = &reason_cases[i];

        err_reason(c->sys, reason);
        CHECK(strstr(reason, c->want) && strstr(reason, c->also), "%s: %s", c->label, reason);
        CHECK(!strstr(reason, "Success"), "%s: %s", c->label, reason);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    snprintf(figure, sizeof(figure), "here %llu", (unsigned long long)limit.rlim_cur);
    err_reason(EMFILE, reason);
    CHECK(strstr(reason, figure) || limit.rlim_cur == RLIM_INFINITY, "%s: no '%s'", reason, figure);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    err_reason(EFBIG, reason);
    CHECK(!strstr(reason, "RLIMIT") == (limit.rlim_cur == RLIM_INFINITY), "%s", reason);
}

/* EAGAIN means a limit only where a thread could not be started. */
static void threads_have_a_limit(void **state)
{
    struct error err;

    (void)state;
    errno = EAGAIN;
    assert_int_equal(err_thread(&err, "channel %d: thread", 3), -1);
    assert_int_equal(err.sys, EAGAIN);
    CHECK(strncmp(err.text, "channel 3: thread: Resource temporarily unavailable: ", 53) == 0 &&
              strstr(err.text, "RLIMIT_NPROC") && strstr(err.text, "ulimit -u"),
          "%s", err.text);
    errno = EAGAIN;
    err_sys(&err, "read");
    assert_string_equal(err.text, "read: Resource temporarily unavailable");
}

/* A text that is too long is cut; context that was put in front stays. */
static void cuts_what_is_too_long(void **state)
{
    char longer[2 * sizeof(((struct error *)0)->text)];
    struct error err;

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    err_set(&err, ERR_USAGE, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    errno = EIO;
    err_sys(&err, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    err_in(&err, "channel 7");
    assert_int_equal(strncmp(err.text, "channel 7: xxx", 14), 0);
    err_in(&err, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

/* Wherever the text comes from, nothing in it starts a second line or moves a cursor. */
static void makes_text_printable(void **state)
{
    struct error err;

    (void)state;
    err_set(&err, ERR_PEER, "device '%s'", "a\nramjet: fine\x1b[2J");
    assert_string_equal(err.text, "device 'a?ramjet: fine?[2J'");
    errno = ENOENT;
    err_sys(&err, "/tmp/g\u00e4ste\r\xc2\x9b");
    assert_string_equal(err.text, "/tmp/g\u00e4ste???: No such file or directory");
    err_set(&err, ERR_PEER, "x");
    err_in(&err, "from %s", "\u202e");
    assert_string_equal(err.text, "from ???: x");
    err_set(&err, ERR_PEER, "x");
    err_add(&err, "; and %s", "\x7f");
    assert_string_equal(err.text, "x; and ?");
}

/* The bytes of a character that does not fit are replaced: the text must be UTF-8 for JSON. */
static void hides_half_a_character(void **state)
{
    char longer[2 * sizeof(((struct error *)0)->text)] = "x";
    struct error err;

    (void)state;
    for (size_t i = 1; i + 3 < sizeof(longer); i += 2)
        memcpy(longer + i, "\u00e4", 3);
    err_set(&err, ERR_USAGE, "%s%s", longer, "");
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_int_equal((unsigned char)err.text[sizeof(err.text) - 2], 0xa4);
    err_set(&err, ERR_USAGE, "x%s", longer);
    assert_int_equal(err.text[sizeof(err.text) - 2], '?');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_kind_and_text),      cmocka_unit_test(adds_errno),
        cmocka_unit_test(puts_context_in_front),   cmocka_unit_test(has_a_remedy),
        cmocka_unit_test(a_remedy_of_a_long_text), cmocka_unit_test(reasons),
        cmocka_unit_test(threads_have_a_limit),    cmocka_unit_test(cuts_what_is_too_long),
        cmocka_unit_test(makes_text_printable),    cmocka_unit_test(hides_half_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
