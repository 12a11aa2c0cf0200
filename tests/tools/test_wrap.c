#include "tools/wrap.h"

#include <stdlib.h>

#include "tests/support/test.h"

#define TEN    "123456789 "
#define FORTY  TEN TEN TEN TEN
#define NINETY FORTY FORTY "123456789"
#define LONG                                                                                       \
    "https://example.org/a-word-that-is-wider-than-any-terminal-and-is-still-not-broken-anywhere"

static const struct {
    const char *text, *want;
} cases[] = {
    {"", ""},
    {"a line\n\nand one without its end", "a line\n\nand one without its end\n"},
    {FORTY TEN TEN TEN "1234567890", FORTY TEN TEN TEN "1234567890\n"}, /* 80 columns */
    {FORTY TEN TEN TEN "12345678901", FORTY TEN TEN "123456789\n12345678901\n"},
    {NINETY, FORTY TEN TEN TEN "123456789\n123456789\n"},
    {"  " NINETY, "  " FORTY TEN TEN "123456789\n  " TEN "123456789\n"},
    {"  --name    " NINETY,
     "  --name    " FORTY TEN "123456789\n            " TEN TEN "123456789\n"},
    {"  --two words  " NINETY,
     "  --two words  " FORTY TEN "123456789\n               " TEN TEN "123456789\n"},
    {FORTY "  right  " FORTY, FORTY "  right  " TEN TEN "123456789\n123456789 \n"},
    {LONG " x", LONG "\nx\n"},
    /* each of these is one column and two bytes */
    {FORTY TEN TEN TEN "ääääääääää", FORTY TEN TEN TEN "ääääääääää\n"},
};

static void wide_lines_are_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *got = NULL;
        size_t len = 0;
        FILE *to = open_memstream(&got, &len);

        assert_non_null(to);
        wrap_print(to, cases[i].text);
        assert_int_equal(fclose(to), 0);
        CHECK(strcmp(got, cases[i].want) == 0, "'%s': got '%s', expected '%s'", cases[i].text, got,
              cases[i].want);
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_lines_are_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
