#include "tools/nearest.h"

#include "tests/support/test.h"

static const char *const names[] = {
    "send", "recv", "migrate", "multifd", "multifd-channels", "--channels", "--max-bandwidth"};

static const struct {
    const char *word, *want; /* NULL: nothing is near */
} cases[] = {
    {"sned", "send"},
    {"Send", "send"},
    {"sendd", "send"},
    {"snd", "send"},
    {"s", NULL},
    {"", NULL},
    {"convert", NULL},
    {"migarte", "migrate"},
    {"multifd-chanels", "multifd-channels"},
    {"multifd-", "multifd"}, /* nearer than the name that it begins */
    {"multi", "multifd"},
    {"--chan", "--channels"},
    {"--ch", "--channels"},
    {"--", NULL},
    {"--max-bandwith", "--max-bandwidth"},
    {"--maxbandwidth", "--max-bandwidth"},
    {"send-send-send-send-send-send-send-send-send-send-send-send-send-send", NULL},
};

static void mistakes_are_few(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[NEAREST_TEXT_LEN], want[NEAREST_TEXT_LEN] = "";
        struct nearest n;

        nearest_begin(&n, cases[i].word, strlen(cases[i].word));
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            nearest_offer(&n, names[k]);
        if (cases[i].want)
            snprintf(want, sizeof(want), "; did you mean '%s'?", cases[i].want);
        CHECK(strcmp(nearest_text(&n, text), want) == 0, "'%s': '%s'", cases[i].word, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
