#include "control/qmp_session.h"

#include <stdio.h>
#include <string.h>

#include "base/json_memory.h"
#include "base/macros.h"
#include "control/qmp_error.h"

#define RESET_BYTE 0xff /* never in UTF-8: a client sends it to end any message it has begun */

void qmp_session_init(struct qmp_session *s, const struct qmp_registry *registry,
                      const struct qmp_session_ops *ops, void *arg)
{
    *s = (struct qmp_session){
        .registry = registry, .ops = ops, .arg = arg, .message.limit = QMP_COMMAND_MAX};
}

void qmp_session_done(struct qmp_session *s)
{
    buf_done(&s->message);
}

/* --- saying ---------------------------------------------------------------------------------- */

/* Takes ownership of the message. `id`: the client's, or NULL. */
static void say(struct qmp_session *s, json_t *message, json_t *id)
{
    if (id)
        json_object_set(message, "id", id);
    s->ops->say(s->arg, message);
    json_decref(message);
}

static void say_error(struct qmp_session *s, const char *class, const char *text, json_t *id)
{
    say(s, json_pack("{s:{s:s, s:s}}", "error", "class", class, "desc", text), id);
}

#define GENERIC           "GenericError"
#define COMMAND_NOT_FOUND "CommandNotFound"

json_t *qmp_version(const struct qmp_registry *registry)
{
    int major = 0, minor = 0, micro = 0;

    /* NOLINTNEXTLINE(cert-err34-c): CMake has checked it */
    sscanf(RAMJET_VERSION, "%d.%d.%d", &major, &minor, &micro);
    return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", major, "minor", minor, "micro",
                     micro, "package", registry->package);
}

void qmp_session_greet(struct qmp_session *s)
{
    say(s, json_pack("{s:{s:o, s:[]}}", "QMP", "version", qmp_version(s->registry), "capabilities"),
        NULL);
}

/* --- what every monitor knows ---------------------------------------------------------------- */

static int negotiate(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    struct qmp_session *s = arg;

    (void)ret;
    if (json_array_size(json_object_get(arguments, "enable")) > 0)
        return err_set(err, ERR_USAGE, "a capability was requested, but the greeting offers none");
    s->negotiated = true;
    return 0;
}

static void negotiated(void *arg)
{
    struct qmp_session *s = arg;

    s->ops->ready(s->arg);
}

static int query_version(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct qmp_session *s = arg;

    (void)arguments;
    (void)err;
    *ret = qmp_version(s->registry);
    return 0;
}

static int query_commands(void *arg, const json_t *arguments, json_t **ret, struct error *err);

static const struct qmp_argument negotiate_arguments[] = {{"enable", QMP_LIST, true}};

static const struct qmp_command own_commands[] = {
    {"qmp_capabilities", negotiate, negotiated, negotiate_arguments, ARRAY_LEN(negotiate_arguments),
     false},
    {.name = "query-commands", .run = query_commands},
    {.name = "query-version", .run = query_version},
};

static void list_commands(const struct qmp_command *commands, size_t n, json_t *list)
{
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s}", "name", commands[i].name));
}

static int query_commands(void *arg, const json_t *arguments, json_t **ret, struct error *err)
{
    const struct qmp_session *s = arg;

    (void)arguments;
    (void)err;
    *ret = json_array();
    list_commands(own_commands, ARRAY_LEN(own_commands), *ret);
    for (size_t i = 0; i < s->registry->n; i++)
        list_commands(s->registry->tables[i].commands, s->registry->tables[i].n, *ret);
    return 0;
}

/* --- commands -------------------------------------------------------------------------------- */

static const struct qmp_command *find_in(const struct qmp_command *commands, size_t n,
                                         const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static const struct qmp_command *find(struct qmp_session *s, const char *name, void **ret_arg)
{
    const struct qmp_command *c = find_in(own_commands, ARRAY_LEN(own_commands), name);

    *ret_arg = s;
    for (size_t i = 0; !c && i < s->registry->n; i++) {
        c = find_in(s->registry->tables[i].commands, s->registry->tables[i].n, name);
        *ret_arg = s->registry->tables[i].arg;
    }
    return c;
}

static void say_failure(struct qmp_session *s, const struct error *err, json_t *id)
{
    char line[ERR_LINE_LEN];

    qmp_error_line(err, line);
    say_error(s, GENERIC, line, id);
}

static void run(struct qmp_session *s, const struct qmp_command *c, void *arg,
                const json_t *arguments, json_t *id)
{
    struct error err;
    json_t *result = NULL;

    int rc = c->any_arguments ? 0 : qmp_check(arguments, c->arguments, c->n_arguments, &err);
    if (rc == 0)
        rc = c->run(arg, arguments, &result, &err);
    if (rc < 0) {
        say_failure(s, &err, id);
        return;
    }
    say(s, json_pack("{s:o}", "return", result ? result : json_object()), id);
    if (c->after)
        c->after(arg);
}

/* A client must negotiate before all other commands, and only once. */
static bool may_run(struct qmp_session *s, const char *name, json_t *id)
{
    bool negotiation = strcmp(name, own_commands[0].name) == 0;

    if (negotiation && s->negotiated)
        say_error(s, COMMAND_NOT_FOUND, "qmp_capabilities was answered already: send it only once",
                  id);
    else if (!negotiation && !s->negotiated)
        say_error(s, COMMAND_NOT_FOUND, "expected qmp_capabilities before any other command", id);
    return negotiation != s->negotiated;
}

static const struct qmp_argument members[] = {
    {"execute", QMP_STRING, false},
    {"arguments", QMP_OBJECT, true},
};

/* `id` may be of any type: it is removed before the other members are checked. */
static void execute(struct qmp_session *s, json_t *message)
{
    json_auto_t *id = json_incref(json_object_get(message, "id")), *none = NULL;
    const struct qmp_command *c;
    struct error err;
    void *arg;

    json_object_del(message, "id");
    if (qmp_check(message, members, ARRAY_LEN(members), &err) < 0) {
        say_failure(s, &err, id);
        return;
    }
    const char *name = json_string_value(json_object_get(message, "execute"));
    if (!may_run(s, name, id))
        return;
    if (!(c = find(s, name, &arg))) {
        err_set(&err, ERR_USAGE, "the command %.60s has not been found", name);
        say_error(s, COMMAND_NOT_FOUND, err.text, id);
        return;
    }
    const json_t *arguments = json_object_get(message, "arguments");
    run(s, c, arg, arguments ? arguments : (none = json_object()), id);
}

/* --- messages -------------------------------------------------------------------------------- */

static void begin_anew(struct qmp_session *s)
{
    buf_done(&s->message);
    s->depth = 0;
    s->in_string = s->escaped = false;
}

/* Answers a whole message, or text that was cut where it could not be one. */
static void hear(struct qmp_session *s)
{
    json_error_t why;
    struct error err;
    json_t *message = json_memory_load((const char *)s->message.data, s->message.len,
                                       JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);

    if (message && json_is_object(message)) {
        execute(s, message);
    } else if (message) {
        say_error(s, GENERIC, "a command is a JSON object", NULL);
    } else {
        err_set(&err, ERR_PEER, "this is not JSON: %s", why.text);
        say_error(s, GENERIC, err.text, NULL);
    }
    json_decref(message);
    begin_anew(s);
}

static void give_up(struct qmp_session *s, const char *why)
{
    say_error(s, GENERIC, why, NULL);
    begin_anew(s);
    s->over = true;
}

/* Takes one byte; true where the message ends after it. */
static bool step(struct qmp_session *s, uint8_t byte)
{
    if (byte == RESET_BYTE)
        return true;
    if (s->in_string) {
        bool plain = s->escaped;

        s->escaped = !plain && byte == '\\';
        s->in_string = plain || byte != '"';
        return byte == '\n'; /* a JSON string has no bare newline: its closing quote is missing */
    }
    s->in_string = byte == '"' && s->depth > 0;
    if (byte == '{' || byte == '[')
        s->depth++;
    if ((byte == '}' || byte == ']') && s->depth > 0)
        return --s->depth == 0;
    return s->depth == 0 && byte == '\n';
}

static bool is_space(uint8_t byte)
{
    return memchr(" \t\r\n", byte, 4);
}

static bool opens(uint8_t byte)
{
    return byte == '{' || byte == '[';
}

/*
 * How many of these bytes belong to the present message; *ret_ended: it ends there. Text outside
 * all braces also ends where the next message begins.
 */
static size_t measure(struct qmp_session *s, const uint8_t *bytes, size_t len, bool *ret_ended)
{
    size_t at = 0;

    *ret_ended = false;
    while (at < len && !*ret_ended && s->depth <= QMP_NESTING_MAX) {
        if (s->depth == 0 && s->message.len + at > 0 && opens(bytes[at])) {
            *ret_ended = true;
            break;
        }
        *ret_ended = step(s, bytes[at++]);
    }
    return at;
}

size_t qmp_session_feed(struct qmp_session *s, const uint8_t *bytes, size_t len)
{
    struct error err;
    size_t blank = 0;
    bool ended;

    while (s->message.len == 0 && blank < len && is_space(bytes[blank]))
        blank++;
    size_t n = measure(s, bytes + blank, len - blank, &ended);
    if (s->depth > QMP_NESTING_MAX)
        give_up(s, "nested too deep; the connection ends here");
    else if (buf_append(&s->message, bytes + blank, n, &err) < 0)
        give_up(s, "the command is too long; the connection ends here");
    else if (ended)
        hear(s);
    return blank + n;
}
