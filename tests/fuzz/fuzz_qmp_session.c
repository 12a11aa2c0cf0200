/*
 * What a monitor's client sends: a byte for the size of the pieces, then the text.
 */
#include <string.h>

#include "base/macros.h"
#include "control/qmp_session.h"
#include "tests/fuzz/fuzz.h"

static int run_echo(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    (void)arg;
    (void)err;
    PROMISE(json_is_object(arguments));
    *ret = json_deep_copy(arguments);
    return 0;
}

static int run_typed(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    PROMISE(json_is_integer(json_object_get(arguments, "n")));
    PROMISE(json_object_size(arguments) == 1);
    return run_echo(arg, arguments, ret, err);
}

static const struct qmp_argument typed[] = {{"n", QMP_INTEGER, false}};
static const struct qmp_command commands[] = {
    {.name = "echo", .run = run_echo, .any_arguments = true},
    {"typed", run_typed, NULL, typed, ARRAY_LEN(typed), false},
};
static const struct qmp_table table = {commands, ARRAY_LEN(commands), NULL};
static const struct qmp_registry registry = {&table, 1, "fuzz"};

static void on_say(void *arg, const json_t *message)
{
    size_t *n = arg;
    char *text = json_dumps(message, 0);

    PROMISE(text);
    PROMISE(!json_object_get(message, "return") != !json_object_get(message, "error"));
    free(text);
    ++*n;
}

static void on_ready(void *arg)
{
    (void)arg;
}

static const struct qmp_session_ops ops = {.say = on_say, .ready = on_ready};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct qmp_session s;
    size_t n_said = 0, piece = len ? data[0] + 1U : 1, idle = 0;

    qmp_session_init(&s, &registry, &ops, &n_said);
    s.negotiated = len % 2;
    for (size_t at = 1; at < len && !s.over;) {
        size_t taken = qmp_session_feed(&s, data + at, MIN(piece, len - at));

        idle = taken ? 0 : idle + 1;
        PROMISE(taken <= len - at && idle < 2);
        at += taken;
    }
    /* Whatever it was, this byte ends it, and a command is understood. */
    static const uint8_t last[] = "\xff{\"execute\": \"query-version\", \"id\": 1}";
    for (size_t at = 0; at < sizeof(last) - 1 && !s.over;)
        at += qmp_session_feed(&s, last + at, sizeof(last) - 1 - at);
    PROMISE(n_said > 0);
    qmp_session_done(&s);
    return 0;
}
