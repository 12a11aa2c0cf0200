#include "tools/qmp_arguments.h"

#include "tests/support/test.h"

static const struct arguments_case {
    const char *words[4];
    const char *want; /* NULL: refused, with `part` in the reason */
    const char *part;
} cases[] = {
    {{"a=1"}, "{\"a\":1}", NULL},
    {{"a=-1", "b=1.5", "c=true", "d=null"}, "{\"a\":-1,\"b\":1.5,\"c\":true,\"d\":null}", NULL},
    {{"a=text", "b=", "c=tls0"}, "{\"a\":\"text\",\"b\":\"\",\"c\":\"tls0\"}", NULL},
    {{"a=\"1\"", "b=[1,{\"x\":2}]", "c={\"y\":[]}"},
     "{\"a\":\"1\",\"b\":[1,{\"x\":2}],\"c\":{\"y\":[]}}",
     NULL},
    {{"uri=tcp:h:1,x=y"}, "{\"uri\":\"tcp:h:1,x=y\"}", NULL},
    {{"a=[1,", "b=True", "c=01"}, "{\"a\":\"[1,\",\"b\":\"True\",\"c\":\"01\"}", NULL},
    {{"a.b=1", "a.c.d=x", "e=2"}, "{\"a\":{\"b\":1,\"c\":{\"d\":\"x\"}},\"e\":2}", NULL},
    {{"a={\"b\":1}", "a.c=2"}, "{\"a\":{\"b\":1,\"c\":2}}", NULL},
    {{"{\"a\": {\"b\": [1]}}"}, "{\"a\":{\"b\":[1]}}", NULL},
    {{"{}"}, "{}", NULL},
    {{"{=1"}, NULL, "'{=1'"},
    {{"{\"a\": 1"}, NULL, "'{\"a\": 1'"},
    {{"{\"a\": 1}", "b=1"}, NULL, "expected KEY=VALUE"},
    {{"a"}, NULL, "expected KEY=VALUE"},
    {{"=1"}, NULL, "expected KEY=VALUE"},
    {{"a.=1"}, NULL, "a name before '='"},
    {{".a=1"}, NULL, "names between dots"},
    {{"a..b=1"}, NULL, "names between dots"},
    {{"a=1", "a=1"}, NULL, "given twice"},
    {{"a.b=1", "a=1"}, NULL, "given twice"},
    {{"a=1", "a.b=1"}, NULL, "something else than an object"},
    {{"a=\xff"}, NULL, "not UTF-8"},
    {{"\xff=1"}, NULL, "not UTF-8"},
    {{"\xff.a=1"}, NULL, "not UTF-8"},
};

static void test_words(void **state)
{
    (void)state;
    for (const struct arguments_case *c = cases; c < cases + ARRAY_LEN(cases); c++) {
        struct error err;
        json_t *arguments = NULL;
        size_t n = 0;

        while (n < ARRAY_LEN(c->words) && c->words[n])
            n++;
        int rc = qmp_arguments(c->words, n, &arguments, &err);
        if (!c->want) {
            check_refused(c->words[0], rc, &err, ERR_USAGE, c->part);
            assert_null(arguments);
            continue;
        }
        OK(rc, err, c->words[0]);
        char *text = json_dumps(arguments, JSON_COMPACT);
        CHECK(strcmp(text, c->want) == 0, "%s: %s, expected %s", c->words[0], text, c->want);
        free(text);
        json_decref(arguments);
    }
}

static void test_none(void **state)
{
    struct error err;
    json_t *arguments = json_null();

    (void)state;
    OK(qmp_arguments(NULL, 0, &arguments, &err), err, "no words");
    assert_null(arguments);
}

static void test_deep(void **state)
{
    const char *words[1];
    char word[256];
    struct error err;
    json_t *arguments;

    (void)state;
    for (size_t i = 0; i < 100; i++)
        memcpy(word + 2 * i, "a.", 2);
    strcpy(word + 200, "a=1");
    words[0] = word;
    check_refused("deep", qmp_arguments(words, 1, &arguments, &err), &err, ERR_USAGE, "at most");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_deep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
