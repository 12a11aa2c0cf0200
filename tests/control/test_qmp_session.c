/* What a client may send, and what it receives. */
#include "control/qmp_session.h"

#include "tests/support/test.h"

#define NEGOTIATE "{\"execute\": \"qmp_capabilities\"}"
#define GREETING  "{\"QMP\"}"

/* --- commands for the tests ------------------------------------------------------------------ */

static int run_echo(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arg;
    (void)err;
    *ret = json_deep_copy(arguments);
    return 0;
}

static int run_fail(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arg;
    (void)arguments;
    (void)ret;
    return err_set(err, ERR_USAGE, "not now");
}

static int run_nothing(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arg;
    (void)arguments;
    (void)ret;
    (void)err;
    return 0;
}

static const struct qmp_argument echo_arguments[] = {{"text", QMP_STRING, true},
                                                     {"on", QMP_BOOL, true},
                                                     {"n", QMP_INTEGER, true},
                                                     {"o", QMP_OBJECT, true},
                                                     {"list", QMP_LIST, true}};
static const struct qmp_argument need_arguments[] = {{"n", QMP_INTEGER, false}};

static const struct qmp_command commands[] = {
    {"echo", run_echo, NULL, echo_arguments, ARRAY_LEN(echo_arguments), false},
    {"need", run_echo, NULL, need_arguments, ARRAY_LEN(need_arguments), false},
    {.name = "any", .run = run_echo, .any_arguments = true},
    {.name = "fail", .run = run_fail},
    {.name = "nothing", .run = run_nothing},
};
static const struct qmp_table table = {commands, ARRAY_LEN(commands), NULL};
static const struct qmp_registry registry = {&table, 1, "test"};

/* --- what the client receives ---------------------------------------------------------------- */

/* Answers, one per line, shortened: "return VALUE", "CLASS: desc", followed by " #ID". */
struct ear {
    char heard[65536];
    size_t n_ready;
};

static void on_say(void *arg, const json_t *message)
{
    struct ear *e = arg;
    const json_t *error = json_object_get(message, "error"), *id = json_object_get(message, "id");
    char *value = json_dumps(json_object_get(message, "return"), JSON_COMPACT | JSON_ENCODE_ANY);
    char *tag = json_dumps(id, JSON_COMPACT | JSON_ENCODE_ANY);
    size_t len = strlen(e->heard), room = sizeof(e->heard) - len;

    if (json_object_get(message, "QMP"))
        snprintf(e->heard + len, room, GREETING);
    else if (error)
        snprintf(e->heard + len, room, "%s: %s", json_string_value(json_object_get(error, "class")),
                 json_string_value(json_object_get(error, "desc")));
    else
        snprintf(e->heard + len, room, "return %s", value);
    if (id)
        strcat(strcat(e->heard, " #"), tag);
    strcat(e->heard, "\n");
    free(value);
    free(tag);
}

static void on_ready(void *arg)
{
    struct ear *e = arg;

    e->n_ready++;
}

static const struct qmp_session_ops ops = {.say = on_say, .ready = on_ready};

/* Feeds the text in pieces of so many bytes. True if the session is over. */
static bool converse(struct ear *e, const char *text, size_t len, size_t piece)
{
    struct qmp_session s;

    memset(e, 0, sizeof(*e));
    qmp_session_init(&s, &registry, &ops, e);
    for (size_t at = 0; at < len && !s.over;)
        at += qmp_session_feed(&s, (const uint8_t *)text + at, MIN(piece, len - at));
    bool over = s.over;
    qmp_session_done(&s);
    return over;
}

/* --- conversations --------------------------------------------------------------------------- */

static const struct talk_case {
    const char *label, *says, *hears;
} talk_cases[] = {
    {"negotiation", NEGOTIATE, "return {}\n"},
    {"with an empty list", "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": []}}",
     "return {}\n"},
    {"a capability that is not offered",
     "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}{\"execute\": "
     "\"nothing\"}",
     "GenericError: a capability was requested, but the greeting offers none\n"
     "CommandNotFound: expected qmp_capabilities before any other command\n"},
    {"before negotiation", "{\"execute\": \"nothing\", \"id\": 1}" NEGOTIATE,
     "CommandNotFound: expected qmp_capabilities before any other command #1\nreturn {}\n"},
    {"twice", NEGOTIATE NEGOTIATE,
     "return {}\nCommandNotFound: qmp_capabilities was answered already: send it only once\n"},
    {"joined, and over lines",
     NEGOTIATE "{\"execute\":\"nothing\"}\r\n\r\n{\n\"execute\"\n:\n\"nothing\"\n}\n",
     "return {}\nreturn {}\nreturn {}\n"},
    {"ids of every type",
     NEGOTIATE "{\"execute\":\"nothing\",\"id\":7}{\"execute\":\"nothing\",\"id\":\"x\"}"
               "{\"execute\":\"nothing\",\"id\":{\"a\":[1]}}{\"execute\":\"nothing\",\"id\":null}"
               "{\"execute\":\"fail\",\"id\":[]}{\"execute\":\"no\",\"id\":false}",
     "return {}\nreturn {} #7\nreturn {} #\"x\"\nreturn {} #{\"a\":[1]}\nreturn {} #null\n"
     "GenericError: not now #[]\nCommandNotFound: the command no has not been found #false\n"},
    {"every type of argument",
     NEGOTIATE "{\"execute\":\"echo\",\"arguments\":{\"text\":\"}]\\\"{\",\"on\":true,\"n\":-1,"
               "\"o\":{},\"list\":[1]}}",
     "return {}\nreturn {\"text\":\"}]\\\"{\",\"on\":true,\"n\":-1,\"o\":{},\"list\":[1]}\n"},
    {"the wrong type, unknown, missing",
     NEGOTIATE "{\"execute\":\"echo\",\"arguments\":{\"n\":1.0}}"
               "{\"execute\":\"echo\",\"arguments\":{\"on\":\"true\"}}"
               "{\"execute\":\"echo\",\"arguments\":{\"text\":null}}"
               "{\"execute\":\"echo\",\"arguments\":{\"x\":1}}"
               "{\"execute\":\"nothing\",\"arguments\":{\"x\":1}}{\"execute\":\"need\"}",
     "return {}\nGenericError: Parameter 'n' expects a value of type integer\n"
     "GenericError: Parameter 'on' expects a value of type boolean\n"
     "GenericError: Parameter 'text' expects a value of type string\n"
     "GenericError: Parameter 'x' is unexpected\nGenericError: Parameter 'x' is unexpected\n"
     "GenericError: Parameter 'n' is missing\n"},
    {"a command that looks itself", NEGOTIATE "{\"execute\":\"any\",\"arguments\":{\"x\":[null]}}",
     "return {}\nreturn {\"x\":[null]}\n"},
    {"no command",
     NEGOTIATE "{}{\"execute\":1}{\"execute\":\"nothing\",\"arguments\":[]}"
               "{\"execute\":\"nothing\",\"x\":1}{\"exec-oob\":\"nothing\"}",
     "return {}\nGenericError: Parameter 'execute' is missing\n"
     "GenericError: Parameter 'execute' expects a value of type string\n"
     "GenericError: Parameter 'arguments' expects a value of type object\n"
     "GenericError: Parameter 'x' is unexpected\n"
     "GenericError: Parameter 'execute' is missing\n"},
    {"version", NEGOTIATE "{\"execute\":\"query-version\"}",
     "return {}\nreturn {\"qemu\":{\"major\":0,\"minor\":1,\"micro\":0},\"package\":\"test\"}\n"},
    {"its commands", NEGOTIATE "{\"execute\":\"query-commands\"}",
     "return {}\nreturn [{\"name\":\"qmp_capabilities\"},{\"name\":\"query-commands\"},"
     "{\"name\":\"query-version\"},{\"name\":\"echo\"},{\"name\":\"need\"},{\"name\":\"any\"},"
     "{\"name\":\"fail\"},{\"name\":\"nothing\"}]\n"},
};

static void test_conversations(void **state)
{
    static const size_t pieces[] = {1, 2, 7, 4096};
    static struct ear e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(talk_cases) * ARRAY_LEN(pieces); i++) {
        const struct talk_case *c = &talk_cases[i / ARRAY_LEN(pieces)];
        size_t piece = pieces[i % ARRAY_LEN(pieces)];

        CHECK(!converse(&e, c->says, strlen(c->says), piece), "%s: over", c->label);
        CHECK(strcmp(e.heard, c->hears) == 0, "%s, in pieces of %zu: heard\n%s\nexpected\n%s",
              c->label, piece, e.heard, c->hears);
        CHECK(e.n_ready == (strstr(c->hears, "offers none") ? 0 : 1), "%s: ready %zu times",
              c->label, e.n_ready);
    }
}

/* --- what is not QMP ------------------------------------------------------------------------- */

/* Each is followed by a command that must be understood. */
static const struct hostile_case {
    const char *label, *says;
    size_t n_errors;
} hostile_cases[] = {
    {"a word", "stop\n", 1},
    {"words before a brace", "please ", 1},
    {"a number", "17\n", 1},
    {"a list", "[1, 2]", 1},
    {"a string outside", "\"stop\"\n", 1},
    {"closing braces", "}}]]\n", 1},
    {"the wrong brace", "{\"execute\": \"nothing\"]", 1},
    {"a word inside", "{\"execute\": nothing}", 1},
    {"single quotes", "{'execute': 'nothing'}", 1},
    {"a member twice", "{\"execute\": \"nothing\", \"execute\": \"nothing\"}", 1},
    {"a string without end", "{\"execute\": \"nothing\n", 1},
    {"and its other half", "{\"execute\": \"nothing\n\"}\n", 2},
    {"an escaped line's end", "{\"execute\": \"nothing\\\n", 1},
    {"no UTF-8", "{\"execute\": \"\xc3\x28\"}", 1},
    {"a control character", "{\"execute\": \"\x01\"}", 1},
    {"an escaped zero", "{\"execute\": \"\\u0000\"}", 1},
    {"half a surrogate", "{\"execute\": \"\\ud800\"}", 1},
    {"reset in a command", "{\"execute\": [\"noth\xff", 1},
    {"reset at the beginning", "\xff", 1},
    {"a number too large", "{\"execute\": \"any\", \"arguments\": {\"n\": 9223372036854775808}}",
     1},
    {"comma too many", "{\"execute\": \"nothing\",}", 1},
    {"nothing but brackets", "[[[[]]]]", 1},
    {"an unknown command with braces", "{\"execute\": \"}{][\"}", 1},
};

static size_t count(const char *text, const char *part)
{
    size_t n = 0;

    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

static void test_hostile(void **state)
{
    static struct ear e;
    char text[1024];

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(hostile_cases); i++) {
        const struct hostile_case *c = &hostile_cases[i / 2];
        int len = snprintf(text, sizeof(text), NEGOTIATE "%s{\"execute\": \"nothing\", \"id\": 9}",
                           c->says);

        CHECK(!converse(&e, text, (size_t)len, i % 2 ? 1 : sizeof(text)), "%s: over", c->label);
        size_t n = count(e.heard, "Error: ") + count(e.heard, "CommandNotFound: ");
        CHECK(n == c->n_errors, "%s: %zu errors, expected %zu:\n%s", c->label, n, c->n_errors,
              e.heard);
        CHECK(strstr(e.heard, "return {} #9\n"), "%s: the session did not go on:\n%s", c->label,
              e.heard);
    }
}

/* --- limits ---------------------------------------------------------------------------------- */

/* `n` times `what` between `before` and `after`; 1 if the client is told that the session ends. */
static int flood(const char *before, const char *what, size_t n, const char *after)
{
    static struct ear e;
    size_t len = strlen(before) + n * strlen(what) + strlen(after);
    char *text = malloc(len + 1), *at = text;

    at = stpcpy(at, before);
    for (size_t i = 0; i < n; i++)
        at = stpcpy(at, what);
    stpcpy(at, after);
    bool over = converse(&e, text, len, 4096);
    free(text);
    return over && strstr(e.heard, "the connection ends here");
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(flood(NEGOTIATE "{\"execute\": \"", "x", QMP_COMMAND_MAX, "\"}"), 1);
    assert_int_equal(flood(NEGOTIATE "{\"execute\": \"", "x", QMP_COMMAND_MAX / 2, "\"}"), 0);
    assert_int_equal(flood("", "junk ", QMP_COMMAND_MAX, ""), 1);
    assert_int_equal(flood("", "[", QMP_NESTING_MAX, ""), 0);
    assert_int_equal(flood("", "[", QMP_NESTING_MAX + 1, ""), 1);
    assert_int_equal(flood("", " \n", QMP_COMMAND_MAX, ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversations),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
