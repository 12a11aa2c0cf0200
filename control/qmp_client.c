#include "control/qmp_client.h"

#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json_memory.h"
#include "base/printable.h"
#include "base/signature.h"
#include "control/qmp_virsh.h"
#include "transport/transport.h"

struct qmp_client {
    int fd; /* -1: libvirt has the monitor, and `domain` is the VM */
    char *domain;
    bool here;
    char text[sizeof(((struct address *)0)->text)]; /* the address, for messages */
    uint64_t deadline;
    const struct cancel *cancel;
    bool broken; /* nothing more is sent or received */
    uint64_t last_id;
    char refusal[64];
    void (*on_event)(void *arg, const char *name, const json_t *message);
    void *event_arg;

    uint8_t in[16384]; /* received, and parsed up to `at` */
    size_t at, len;

    /* The message that is being parsed. */
    size_t message_len;
    bool begun; /* something other than white space has come */
    struct error *failed;
};

/* --- bytes ----------------------------------------------------------------------------------- */

/*
 * Checks the deadline first, as poll() would not on a socket that is always ready: a monitor that
 * never stops talking is no better than a silent one.
 */
static int wait_for(struct qmp_client *c, short events, struct error *err)
{
    if (clock_ns() >= c->deadline) {
        errno = ETIMEDOUT;
        return err_sys(err, "gave up waiting");
    }
    return cancel_poll(c->cancel, c->fd, events, c->deadline, err);
}

static int send_all(struct qmp_client *c, const char *bytes, size_t len, struct error *err)
{
    while (len) {
        if (wait_for(c, POLLOUT, err) < 0)
            return err_in(err, "sending");
        ssize_t n = send(c->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_sys(err, "sending");
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* The end of the connection is an error: receive() is called only while a message is awaited. */
static int receive(struct qmp_client *c, struct error *err)
{
    ssize_t n;

    do {
        if (wait_for(c, POLLIN, err) < 0)
            return -1;
        n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);
    } while (n < 0 && (errno == EAGAIN || errno == EINTR));
    if (n < 0)
        return err_sys(err, "receiving");
    if (n == 0)
        return err_set(err, ERR_PEER, "the monitor closed the connection%s",
                       c->begun ? " in the middle of a message" : "");
    c->at = 0;
    c->len = (size_t)n;
    return 0;
}

/* --- messages -------------------------------------------------------------------------------- */

/*
 * One byte at a time: the parser keeps all that it was given, and the bytes after a message belong
 * to the next one.
 */
static size_t feed(void *to, size_t room, void *arg)
{
    struct qmp_client *c = arg;

    (void)room;
    if (c->failed->kind)
        return (size_t)-1;
    if (c->message_len == QMP_MESSAGE_MAX) {
        err_set(c->failed, ERR_PEER, "the monitor sent a message of more than %zu bytes",
                QMP_MESSAGE_MAX);
        return (size_t)-1;
    }
    if (c->at == c->len && receive(c, c->failed) < 0)
        return (size_t)-1;
    uint8_t byte = c->in[c->at++];
    c->message_len++;
    c->begun = c->begun || !memchr(" \t\r\n", byte, 4);
    memcpy(to, &byte, 1);
    return 1;
}

/* The next message, on one line or on many: an object, or NULL. */
static json_t *next_message(struct qmp_client *c, struct error *err)
{
    json_error_t why;

    err->kind = ERR_NONE;
    c->failed = err;
    c->message_len = 0;
    c->begun = false;
    json_t *message = json_memory_load_from(feed, c, JSON_DISABLE_EOF_CHECK, &why);
    c->failed = NULL;
    if (!message && err->kind == ERR_NONE) {
        err_set(err, ERR_PEER, "what the monitor sent is not QMP: %s", why.text);
    } else if (message && !json_is_object(message)) {
        json_decref(message);
        message = NULL;
        err_set(err, ERR_PEER, "what the monitor sent is not QMP: expected an object");
    }
    return message;
}

/* Whether a program that does not speak QMP answers there. Works only while all that it has sent is
 * in the buffer. */
static bool speaks_otherwise(const struct qmp_client *c, char ret[static SIGNATURE_TEXT_LEN])
{
    return c->begun && c->message_len <= c->at && !memchr("{[", c->in[0], 2) &&
           signature_name(c->in, c->len, SIGNATURE_PEER, ret);
}

static int greet(struct qmp_client *c, struct error *err)
{
    json_auto_t *message = next_message(c, err);
    char name[SIGNATURE_TEXT_LEN];

    if (!message && err->kind == ERR_PEER && speaks_otherwise(c, name))
        err_set(err, ERR_PEER, "what the monitor sent is not QMP: %s", name);
    else if (message && !json_is_object(json_object_get(message, "QMP")))
        err_set(err, ERR_PEER, "what the monitor sent first is not {\"QMP\": …}");
    else if (message)
        return 0;
    return err_in(err, "no greeting");
}

/* --- commands -------------------------------------------------------------------------------- */

static int ask(struct qmp_client *c, const char *command, json_t *arguments, struct error *err)
{
    json_auto_t *message = json_pack("{s:s, s:O*, s:I}", "execute", command, "arguments", arguments,
                                     "id", (json_int_t)++c->last_id);
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

    if (!text)
        return err_set(err, ERR_USAGE, "the command or its arguments are not UTF-8");
    size_t len = strlen(text);
    text[len] = '\n'; /* replaces the terminator: a line, as a person would type it */
    int rc = send_all(c, text, len + 1, err);
    free(text);
    return rc;
}

enum message_kind { MESSAGE_OURS, MESSAGE_OTHER, MESSAGE_EVENT, MESSAGE_WRONG };

/*
 * An error without id answers a message that could not be parsed as a command; it is ours, as only
 * ours was sent. Every other answer has its command's id.
 */
static enum message_kind kind_of(const struct qmp_client *c, const json_t *message)
{
    const json_t *id = json_object_get(message, "id"), *error = json_object_get(message, "error");

    if (!error && !json_object_get(message, "return"))
        return json_object_get(message, "event") ? MESSAGE_EVENT : MESSAGE_WRONG;
    if (!id)
        return error ? MESSAGE_OURS : MESSAGE_OTHER;
    return json_is_integer(id) && (uint64_t)json_integer_value(id) == c->last_id ? MESSAGE_OURS
                                                                                 : MESSAGE_OTHER;
}

static void hand_on(struct qmp_client *c, const json_t *message)
{
    const char *name = json_string_value(json_object_get(message, "event"));

    if (c->on_event && name)
        c->on_event(c->event_arg, name, message);
}

/* Our command's answer, or NULL. */
static json_t *answer(struct qmp_client *c, struct error *err)
{
    uint64_t n_others = 0;

    for (;;) {
        json_t *message = next_message(c, err);
        enum message_kind kind = message ? kind_of(c, message) : MESSAGE_WRONG;

        if (kind == MESSAGE_OURS)
            return message;
        if (message && kind == MESSAGE_WRONG)
            err_set(err, ERR_PEER, "what the monitor sent is neither an answer nor an event");
        if (kind == MESSAGE_EVENT)
            hand_on(c, message);
        json_decref(message);
        if (kind == MESSAGE_WRONG)
            break;
        n_others += kind == MESSAGE_OTHER;
    }
    if (n_others)
        err_in(err, "%llu answers, none with this command's id", (unsigned long long)n_others);
    return NULL;
}

/* The monitor said no. */
static int refuse(struct qmp_client *c, const char *command, const json_t *error, struct error *err)
{
    const char *class = json_string_value(json_object_get(error, "class"));
    const char *desc = json_string_value(json_object_get(error, "desc"));

    if (!class || !class[0] || !desc) {
        c->broken = true;
        err_set(err, ERR_PEER, "an error without class or description");
        return err_in(err, "%s: %s", c->text, command);
    }
    snprintf(c->refusal, sizeof(c->refusal), "%s", class);
    printable(c->refusal);
    return err_set(err, ERR_PEER, "%s: %s: %s", command, c->refusal, desc);
}

int qmp_client_execute(struct qmp_client *c, const char *command, json_t *arguments, json_t **ret,
                       struct error *err)
{
    json_auto_t *message = NULL;

    c->refusal[0] = 0;
    if (c->broken)
        return err_set(err, ERR_PEER, "%s: %s: the connection has failed before", c->text, command);
    if (c->domain)
        (void)!qmp_virsh_execute(c->domain, command, arguments, c->deadline, c->cancel, &message,
                                 err);
    else if (ask(c, command, arguments, err) == 0)
        message = answer(c, err);
    if (!message) {
        c->broken = true;
        return err_in(err, "%s: %s", c->text, command);
    }
    const json_t *error = json_object_get(message, "error");
    if (error)
        return refuse(c, command, error, err);
    if (ret)
        *ret = json_incref(json_object_get(message, "return"));
    return 0;
}

void qmp_client_set_events(struct qmp_client *c,
                           void (*on_event)(void *arg, const char *name, const json_t *message),
                           void *arg)
{
    c->on_event = on_event;
    c->event_arg = arg;
}

int qmp_client_await_event(struct qmp_client *c, struct error *err)
{
    enum message_kind kind;

    if (c->broken)
        return err_set(err, ERR_PEER, "%s: the connection has failed before", c->text);
    do {
        json_auto_t *message = next_message(c, err);

        kind = message ? kind_of(c, message) : MESSAGE_WRONG;
        if (message && kind == MESSAGE_WRONG)
            err_set(err, ERR_PEER, "what the monitor sent is neither an answer nor an event");
        if (kind == MESSAGE_WRONG) {
            /* A timeout before a message has begun leaves nothing half read. */
            c->broken = message || c->begun || err->sys != ETIMEDOUT;
            return err_in(err, "%s: waiting for an event", c->text);
        }
        if (kind == MESSAGE_EVENT)
            hand_on(c, message);
    } while (kind != MESSAGE_EVENT);
    return 0;
}

const char *qmp_client_refusal(const struct qmp_client *c)
{
    return c->refusal[0] ? c->refusal : NULL;
}

/* --- the connection -------------------------------------------------------------------------- */

static int dial(struct qmp_client *c, const struct address *to, struct error *err)
{
    uint64_t now = clock_ns();
    struct transport_config config = {.cancel = c->cancel};

    if (c->deadline <= now) { /* a connect timeout of 0 ms would mean no limit */
        errno = ETIMEDOUT;
        return err_sys(err, "connect to %s", c->text);
    }
    if (c->deadline != DEADLINE_NEVER)
        config.connect_timeout_ms = (c->deadline - now + NS_PER_MS - 1) / NS_PER_MS;
    return transport_dial(to, &config, &c->fd, err);
}

int qmp_client_open(const struct address *to, uint64_t deadline, const struct cancel *cancel,
                    struct qmp_client **ret, struct error *err)
{
    struct qmp_client *c = calloc(1, sizeof(*c));

    if (!c)
        return err_sys(err, "%s", to->text);
    c->fd = -1;
    strcpy(c->text, to->text);
    c->deadline = deadline;
    c->cancel = cancel;
    int rc = dial(c, to, err);
    if (rc == 0 && (rc = greet(c, err)) < 0)
        err_in(err, "%s", c->text);
    if (rc == 0 && (rc = qmp_client_execute(c, "qmp_capabilities", NULL, NULL, err)) < 0 &&
        qmp_client_refusal(c))
        err_in(err, "%s", c->text);
    if (rc < 0)
        qmp_client_close(c);
    else
        *ret = c;
    return rc;
}

int qmp_client_open_domain(const char *domain, uint64_t deadline, const struct cancel *cancel,
                           struct qmp_client **ret, struct error *err)
{
    struct qmp_client *c = calloc(1, sizeof(*c));

    if (c)
        c->domain = strdup(domain);
    if (!c || !c->domain) {
        free(c);
        return err_sys(err, "libvirt:%.60s", domain);
    }
    c->fd = -1;
    c->deadline = deadline;
    c->cancel = cancel;
    snprintf(c->text, sizeof(c->text), "libvirt:%s", domain);
    if (!domain[0] || strlen(c->text) == sizeof(c->text) - 1)
        err_set(err, ERR_USAGE, "address '%.100s': expected libvirt:DOMAIN", c->text);
    else if (qmp_virsh_open(deadline, cancel, &c->here, err) < 0)
        err_in(err, "%s", c->text);
    else {
        *ret = c;
        return 0;
    }
    qmp_client_close(c);
    return -1;
}

bool qmp_client_is_here(const struct qmp_client *c)
{
    return c->here;
}

void qmp_client_close(struct qmp_client *c)
{
    if (!c)
        return;
    fd_close(&c->fd);
    free(c->domain);
    free(c);
}

bool qmp_client_is_ours(const struct qmp_client *c)
{
    struct ucred listener = {0};
    socklen_t len = sizeof(listener);

    return getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &listener, &len) == 0 && listener.pid != 0 &&
           listener.uid == geteuid();
}

void qmp_client_set_deadline(struct qmp_client *c, uint64_t deadline)
{
    c->deadline = deadline;
}
