/*
 * What a client sends to a monitor: the first byte gives the size of the pieces, the text follows.
 * Its commands use the real readers of arguments.
 */
#include <string.h>

#include "base/macros.h"
#include "control/address_json.h"
#include "control/qmp_session.h"
#include "control/settings_json.h"
#include "settings/gate.h"
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

/* Settings that the gate accepts can be shown. */
static int let_in(const struct settings *change, json_t **ret, struct error *err)
{
    struct settings now, copy;
    struct refusal refusal;

    settings_init(&now);
    if (gate_set(&now, change, IN_SET(FACT_WAITING), &refusal, err) < 0 ||
        settings_copy(&now, &copy, err) < 0)
        return -1;
    *ret = json_pack("[o, o]", capabilities_json(&copy), parameters_json(&copy));
    settings_copy_done(&copy);
    PROMISE(*ret);
    return 0;
}

static int run_capabilities(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    struct settings change;

    (void)arg;
    if (capabilities_of_json(json_object_get(arguments, "capabilities"), &change, err) < 0)
        return -1;
    return let_in(&change, ret, err);
}

static int run_parameters(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    struct settings change;
    char *words;

    (void)arg;
    if (parameters_of_json(arguments, &change, &words, err) < 0)
        return -1;
    int rc = let_in(&change, ret, err);
    free(words);
    return rc;
}

/* An address that was read can be written again: a socket's as JSON, a file's as text. */
static int run_migrate(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    struct address at, cpr, again;
    bool one, beside;

    (void)arg;
    if (address_of_json(arguments, &at, &one, &cpr, &beside, err) < 0)
        return -1;
    *ret = one ? address_json(at.text) : NULL;
    PROMISE(!one || !*ret == (at.scheme == ADDRESS_FILE));
    PROMISE(!one || address_parse(at.text, &again, err) == 0);
    PROMISE(!one || (strcmp(at.file, again.file) == 0 && at.offset == again.offset));
    return 0;
}

static const struct qmp_argument list[] = {{"capabilities", QMP_LIST, false}};
static const struct qmp_argument where[] = {{"uri", QMP_STRING, true},
                                            {"channels", QMP_LIST, true}};
static const struct qmp_argument typed[] = {{"n", QMP_INTEGER, false}};
static const struct qmp_command commands[] = {
    {.name = "echo", .run = run_echo, .any_arguments = true},
    {"typed", run_typed, NULL, typed, ARRAY_LEN(typed), false},
    {"migrate-set-capabilities", run_capabilities, NULL, list, ARRAY_LEN(list), false},
    {.name = "migrate-set-parameters", .run = run_parameters, .any_arguments = true},
    {"migrate", run_migrate, NULL, where, ARRAY_LEN(where), false},
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
    /* Whatever came before, this byte ends it, and the next command is understood. */
    static const uint8_t last[] = "\xff{\"execute\": \"query-version\", \"id\": 1}";
    for (size_t at = 0; at < sizeof(last) - 1 && !s.over;)
        at += qmp_session_feed(&s, last + at, sizeof(last) - 1 - at);
    PROMISE(n_said > 0);
    qmp_session_done(&s);
    return 0;
}
