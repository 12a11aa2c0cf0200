#include "tools/metrics_http.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"

/* The request line, without its end. */
struct line {
    const char *at;
    size_t len;
};

/* Takes a word and the one space after it; false where there is none, or it is empty. */
static bool take_word(struct line *rest, struct line *ret)
{
    const char *space = memchr(rest->at, ' ', rest->len);

    if (!space || space == rest->at)
        return false;
    *ret = (struct line){rest->at, (size_t)(space - rest->at)};
    rest->len -= ret->len + 1;
    rest->at = space + 1;
    return true;
}

static bool is(const struct line *l, const char *text)
{
    return l->len == strlen(text) && memcmp(l->at, text, l->len) == 0;
}

/* "HTTP/1.0", "HTTP/1.1" */
static bool is_version(const struct line *l)
{
    return l->len == 8 && memcmp(l->at, "HTTP/1.", 7) == 0 && l->at[7] >= '0' && l->at[7] <= '9';
}

/* "/metrics", and a query that means nothing here. */
static bool is_ours(const struct line *target)
{
    const char *query = memchr(target->at, '?', target->len);
    const struct line path = {target->at, query ? (size_t)(query - target->at) : target->len};

    return is(&path, "/metrics");
}

static enum http_ask judge(struct line line)
{
    struct line method, target;

    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    if (!take_word(&line, &method) || !take_word(&line, &target) || !is_version(&line))
        return HTTP_BAD;
    if (!is(&method, "GET") && !is(&method, "HEAD"))
        return HTTP_OTHER_METHOD;
    if (!is_ours(&target))
        return HTTP_ELSEWHERE;
    return is(&method, "GET") ? HTTP_METRICS : HTTP_HEAD;
}

/* Whether the headers have ended: an empty line. */
static bool is_complete(const char *bytes, size_t len)
{
    return memmem(bytes, len, "\n\r\n", 3) || memmem(bytes, len, "\n\n", 2);
}

enum http_ask http_ask_of(const char *bytes, size_t len)
{
    const char *end = memchr(bytes, '\n', len);

    if (!end)
        return len >= HTTP_REQUEST_MAX ? HTTP_TOO_LONG : HTTP_MORE;
    enum http_ask ask = judge((struct line){bytes, (size_t)(end - bytes)});
    if (ask == HTTP_BAD || is_complete(bytes, len))
        return ask;
    return len >= HTTP_REQUEST_MAX ? HTTP_TOO_LONG : HTTP_MORE;
}

size_t http_answer_head(enum http_ask ask, size_t body_len, char ret[static HTTP_HEAD_LEN])
{
    static const char *const status[] = {
        [HTTP_METRICS] = "200 OK",
        [HTTP_HEAD] = "200 OK",
        [HTTP_ELSEWHERE] = "404 Not Found",
        [HTTP_OTHER_METHOD] = "405 Method Not Allowed\r\nAllow: GET, HEAD",
        [HTTP_BAD] = "400 Bad Request",
        [HTTP_TOO_LONG] = "431 Request Header Fields Too Large",
    };
    bool ours = ask == HTTP_METRICS || ask == HTTP_HEAD;
    int len = snprintf(ret, HTTP_HEAD_LEN,
                       "HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                       "Connection: close\r\n\r\n",
                       status[ask],
                       ours ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain", body_len);

    _Static_assert(ARRAY_LEN(status) == HTTP_ASK_N, "a row for each");
    return (size_t)len;
}
