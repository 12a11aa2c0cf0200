#include "tools/remedy.h"

#include "control/qmp_error.h"
#include "tests/support/test.h"

/* Remedies that exist only on the command line, or for two VMs that are driven by it: a monitor's
 * message has none. */
static bool is_silent_at_a_monitor(enum remedy remedy)
{
    return (remedy >= REMEDY_LISTEN && remedy <= REMEDY_CHECKSUMS) || remedy == REMEDY_TLS_USERNAME;
}

/* An option or a verb. */
static bool names_the_command_line(const char *line)
{
    return strstr(line, "--") || strstr(line, "ramjet ");
}

static void each_has_words(void **state)
{
    char line[ERR_LINE_LEN];
    struct error err;

    (void)state;
    for (int i = REMEDY_NONE + 1; i < REMEDY_N; i++) {
        enum remedy remedy = (enum remedy)i;

        err_set_with(&err, ERR_PEER, remedy, "x");
        error_line(&err, line);
        CHECK(names_the_command_line(line), "%d at the command line: %s", i, line);
        CHECK(strcmp(line + 1, remedy_words(remedy)) == 0, "%d: %s", i, line);
        qmp_error_line(&err, line);
        CHECK(line[1] || is_silent_at_a_monitor(remedy), "%d at a monitor", i);
        CHECK(!names_the_command_line(line), "%d at a monitor: %s", i, line);
    }
}

static void without_one_it_is_the_text(void **state)
{
    char line[ERR_LINE_LEN];
    struct error err;

    (void)state;
    err_set(&err, ERR_PEER, "x");
    error_line(&err, line);
    assert_string_equal(line, "x");
    qmp_error_line(&err, line);
    assert_string_equal(line, "x");
}

static void each_end_in_its_own_words(void **state)
{
    char line[ERR_LINE_LEN];
    struct error err;

    (void)state;
    err_set_with(&err, ERR_USAGE, REMEDY_NO_MULTIFD, "a multifd connection, expected none");
    err_in(&err, "from 127.0.0.1:1");
    error_line(&err, line);
    assert_string_equal(line,
                        "from 127.0.0.1:1: a multifd connection, expected none (--channels 0)");
    qmp_error_line(&err, line);
    assert_string_equal(line,
                        "from 127.0.0.1:1: a multifd connection, expected none (multifd off)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_has_words),
                                       cmocka_unit_test(without_one_it_is_the_text),
                                       cmocka_unit_test(each_end_in_its_own_words)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
