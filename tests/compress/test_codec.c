#include "compress/codec.h"
#include "tests/support/test.h"

static const struct find_case {
    const char *name, *refused; /* NULL: found */
    enum codec_method want;
} find_cases[] = {
    {"none", NULL, CODEC_NONE},
    {"none:1", "none has no level", 0},
    {"none:", "none has no level", 0},
    {"zlib", "method 'zlib' is not in this build", 0},
    {"zlib:9", "method 'zlib' is not in this build", 0},
    {"zstd", "method 'zstd' is not in this build", 0},
    {"zstd:-3", "method 'zstd' is not in this build", 0},
    {"qpl", "method 'qpl' is not in this build", 0},
    {"uadk", "method 'uadk' is not in this build", 0},
    {"qatzip", "method 'qatzip' is not in this build", 0},
    {"", "expected none", 0},
    {":1", "expected none", 0},
    {"non", "expected none", 0},
    {"nonee", "expected none", 0},
    {"None", "expected none", 0},
    {"lz4", "expected none", 0},
};

static void finds_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(find_cases); i++) {
        const struct find_case *c = &find_cases[i];
        enum codec_method method = CODEC_N;
        struct error err;
        int rc = codec_find(c->name, &method, &err);

        if (c->refused) {
            check_refused(c->name, rc, &err, ERR_USAGE, c->refused);
            CHECK(method == CODEC_N, "%s: the result was touched", c->name);
        } else {
            CHECK(rc == 0 && method == c->want, "%s: rc %d, method %d", c->name, rc, method);
        }
    }
}

static void every_method_has_a_name(void **state)
{
    (void)state;
    for (unsigned m = 0; m < CODEC_N; m++)
        CHECK(codec_name((enum codec_method)m)[0], "method %u", m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_by_name),
                                       cmocka_unit_test(every_method_has_a_name)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
