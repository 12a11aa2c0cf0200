#include "compress/codec.h"
#include "tests/support/test.h"

static void every_method_has_a_name(void **state)
{
    (void)state;
    for (unsigned m = 0; m < CODEC_N; m++)
        CHECK(codec_name((enum codec_method)m)[0], "method %u", m);
}

static const struct choice_case {
    const char *label;
    enum codec_method method;
    int level;
    const char *packs; /* NULL: nobody does */
} choice_cases[] = {
    {"zlib 0", CODEC_ZLIB, 0, "zlib"},   {"zlib 1", CODEC_ZLIB, 1, "igzip"},
    {"zlib 2", CODEC_ZLIB, 2, "igzip"},  {"zlib 3", CODEC_ZLIB, 3, "zlib"},
    {"zlib 9", CODEC_ZLIB, 9, "zlib"},   {"zlib 10", CODEC_ZLIB, 10, NULL},
    {"zlib -1", CODEC_ZLIB, -1, NULL},   {"zstd -131072", CODEC_ZSTD, -131072, "zstd"},
    {"zstd 20", CODEC_ZSTD, 20, "zstd"}, {"zstd 21", CODEC_ZSTD, 21, NULL},
    {"none", CODEC_NONE, 0, NULL},       {"qpl", CODEC_QPL, 1, NULL},
};

static void the_best_one_is_chosen(void **state)
{
    size_t n;
    bool vectors = strcmp(codec_implementations(&n)[0]->name, "igzip") == 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(choice_cases); i++) {
        const struct choice_case *c = &choice_cases[i];
        const struct codec_ops *found = codec_packing(c->method, c->level);
        const char *want = c->packs && !vectors && c->method == CODEC_ZLIB ? "zlib" : c->packs;

        CHECK(!found == !want, "%s: %s, expected %s", c->label, found ? found->name : "nobody",
              want ? want : "nobody");
        if (want)
            assert_string_equal(found->name, want);
    }
    for (unsigned m = 0; m < CODEC_N; m++) {
        bool want = m == CODEC_NONE || m == CODEC_ZLIB || m == CODEC_ZSTD;

        CHECK(codec_built((enum codec_method)m) == want, "%s", codec_name((enum codec_method)m));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_a_name),
        cmocka_unit_test(the_best_one_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
