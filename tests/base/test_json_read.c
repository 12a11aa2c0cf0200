#include "base/json_read.h"

#include "tests/support/test.h"

static void counts(void **state)
{
    static const struct {
        const char *json;
        uint64_t want;
    } cases[] = {
        {"{\"n\": 7}", 7},
        {"{\"n\": 7.9}", 7},
        {"{\"n\": -7}", 0},
        {"{\"n\": -7.5}", 0},
        {"{\"n\": \"7\"}", 0},
        {"{\"n\": 1e19}", 0},
        {"{}", 0},
        {"[]", 0},
        {"{\"n\": 9223372036854775807}", INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_auto_t *json = json_loads(cases[i].json, 0, NULL);

        CHECK(json && json_count(json, "n") == cases[i].want, "%s", cases[i].json);
    }
}

static void words(void **state)
{
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"{\"w\": \"active\"}", "active"},
        {"{\"w\": \"a\\u0007b\"}", "a?b"},
        {"{\"w\": \"longer than it\"}", "longer "},
        {"{\"w\": 7}", "none"},
        {"{}", "none"},
        {"[]", "none"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_auto_t *json = json_loads(cases[i].json, 0, NULL);
        char word[8];

        json_word(json, "w", "none", word, sizeof(word));
        CHECK(json && strcmp(word, cases[i].want) == 0, "%s: %s", cases[i].json, word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts), cmocka_unit_test(words)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
