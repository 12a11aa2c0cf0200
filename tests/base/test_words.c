#include "base/words.h"
#include "tests/support/test.h"

#define WORDS 5

static const struct words_case {
    const char *label;
    const char *line;
    const char *words[WORDS];
    const char *joined; /* NULL: the whole line */
} words_cases[] = {
    {"none", "", {NULL}, NULL},
    {"spaces", "  \t ", {NULL}, ""},
    {"one", "ramjet", {"ramjet"}, NULL},
    {"some",
     " /usr/bin/ramjet  vm\t--memory 1G ",
     {"/usr/bin/ramjet", "vm", "--memory", "1G"},
     "/usr/bin/ramjet vm --memory 1G"},
    {"quoted", "'a b' \"c d\"", {"a b", "c d"}, "'a b' 'c d'"},
    {"empty ones", "'' \"\"", {"", ""}, "'' ''"},
    {"glued", "a'b c'\"d\"e", {"ab cde"}, "'ab cde'"},
    {"backslashes", "a\\ b \\\\ '\\' \"\\\"\"", {"a b", "\\", "\\", "\""}, "'a b' '\\' '\\' '\"'"},
    {"a quote", "\"it's\"", {"it's"}, "'it'\\''s'"},
    {"nothing is expanded", "'$HOME' '*' '`x`' '#'", {"$HOME", "*", "`x`", "#"}, NULL},
    {"a backslash at the end", "a\\", {"a\\"}, "'a\\'"},
};

static void splits_and_joins(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(words_cases); i++) {
        const struct words_case *c = &words_cases[i];
        struct error err;
        char **words;
        size_t n = 0;

        OK(words_split(c->line, &words, &err), err, c->label);
        for (; c->words[n]; n++)
            CHECK(words[n] && strcmp(words[n], c->words[n]) == 0, "%s: word %zu is %s", c->label, n,
                  words[n] ? words[n] : "missing");
        CHECK(!words[n], "%s: one word more: %s", c->label, words[n]);
        char *line = words_join((const char *const *)words, n);
        CHECK(strcmp(line, c->joined ? c->joined : c->line) == 0, "%s: %s", c->label, line);
        free(line);
        words_free(words);
    }
}

static void refuses(void **state)
{
    static const char *const open_quotes[] = {"'", "a 'b", "\"a", "\"a\\\""};
    static char many[2 * WORDS_MAX + 3], longest[WORDS_LEN_MAX + 2];
    struct error err;
    char **words;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(open_quotes); i++)
        check_refused(open_quotes[i], words_split(open_quotes[i], &words, &err), &err, ERR_USAGE,
                      "is not closed");
    for (size_t i = 0; i <= WORDS_MAX; i++)
        memcpy(many + 2 * i, "x ", 2);
    check_refused("many", words_split(many, &words, &err), &err, ERR_USAGE, "more than 256 words");
    many[2 * WORDS_MAX] = 0;
    OK(words_split(many, &words, &err), err, "as many as may be");
    words_free(words);
    memset(longest, 'x', sizeof(longest) - 1);
    check_refused("long", words_split(longest, &words, &err), &err, ERR_USAGE, "expected at most");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(splits_and_joins),
                                       cmocka_unit_test(refuses)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
