#include "tools/metrics_http.h"

#include "tests/support/test.h"

static const struct ask_case {
    const char *label, *bytes;
    enum http_ask want;
} cases[] = {
    {"as Prometheus asks", "GET /metrics HTTP/1.1\r\nHost: a:1\r\nAccept: */*\r\n\r\n",
     HTTP_METRICS},
    {"no headers", "GET /metrics HTTP/1.0\r\n\r\n", HTTP_METRICS},
    {"line feeds alone", "GET /metrics HTTP/1.0\n\n", HTTP_METRICS},
    {"a query", "GET /metrics?name=x HTTP/1.1\r\n\r\n", HTTP_METRICS},
    {"a body that is not read", "GET /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n123",
     HTTP_METRICS},
    {"the head", "HEAD /metrics HTTP/1.1\r\n\r\n", HTTP_HEAD},
    {"nothing", "", HTTP_MORE},
    {"a part of the line", "GET /metr", HTTP_MORE},
    {"a part of the headers", "GET /metrics HTTP/1.1\r\nHost: a\r\n", HTTP_MORE},
    {"no empty line yet", "GET /metrics HTTP/1.1\r\n\r", HTTP_MORE},
    {"the root", "GET / HTTP/1.1\r\n\r\n", HTTP_ELSEWHERE},
    {"a longer path", "GET /metrics/x HTTP/1.1\r\n\r\n", HTTP_ELSEWHERE},
    {"a shorter path", "GET /metric HTTP/1.1\r\n\r\n", HTTP_ELSEWHERE},
    {"up and down", "GET /../metrics HTTP/1.1\r\n\r\n", HTTP_ELSEWHERE},
    {"another method", "POST /metrics HTTP/1.1\r\n\r\n", HTTP_OTHER_METHOD},
    {"a method in small letters", "get /metrics HTTP/1.1\r\n\r\n", HTTP_OTHER_METHOD},
    {"an empty line", "\r\n\r\n", HTTP_BAD},
    {"one word", "GET\r\n\r\n", HTTP_BAD},
    {"no version", "GET /metrics\r\n\r\n", HTTP_BAD},
    {"another protocol", "GET /metrics RTSP/1.0\r\n\r\n", HTTP_BAD},
    {"version 2", "GET /metrics HTTP/2.0\r\n\r\n", HTTP_BAD},
    {"two spaces", "GET  /metrics HTTP/1.1\r\n\r\n", HTTP_BAD},
    {"a fourth word", "GET /metrics HTTP/1.1 x\r\n\r\n", HTTP_BAD},
    {"TLS", "\x16\x03\x01\x02\n", HTTP_BAD},
    {"bad before its headers have come", "hello\r\n", HTTP_BAD},
};

static void asks(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct ask_case *c = &cases[i];
        enum http_ask found = http_ask_of(c->bytes, strlen(c->bytes));

        CHECK(found == c->want, "%s: %d, want %d", c->label, found, c->want);
        if (c->want != HTTP_METRICS && c->want != HTTP_HEAD)
            continue;
        for (size_t len = 0; len + 20 < strlen(c->bytes); len++)
            CHECK(http_ask_of(c->bytes, len) == HTTP_MORE || strstr(c->label, "body"),
                  "%s: %zu bytes of it", c->label, len);
    }
}

/* Neither a line nor headers without an end are waited for. */
static void too_long(void **state)
{
    static const char start[] = "GET /metrics HTTP/1.1\r\nA: ";
    char bytes[HTTP_REQUEST_MAX];

    (void)state;
    memset(bytes, 'a', sizeof(bytes));
    CHECK(http_ask_of(bytes, sizeof(bytes) - 1) == HTTP_MORE, "a line, one byte less");
    CHECK(http_ask_of(bytes, sizeof(bytes)) == HTTP_TOO_LONG, "a line");
    memcpy(bytes, start, strlen(start));
    CHECK(http_ask_of(bytes, sizeof(bytes)) == HTTP_TOO_LONG, "headers");
    memcpy(bytes + sizeof(bytes) - 4, "\r\n\r\n", 4);
    CHECK(http_ask_of(bytes, sizeof(bytes)) == HTTP_METRICS, "headers that just fit");
}

static void zeros(void **state)
{
    static const char bytes[] = "GET /metrics\0 HTTP/1.1\r\n\r\n";

    (void)state;
    CHECK(http_ask_of(bytes, sizeof(bytes) - 1) == HTTP_ELSEWHERE, "a zero in the path");
}

static void answers(void **state)
{
    char head[HTTP_HEAD_LEN];

    (void)state;
    for (enum http_ask ask = HTTP_METRICS; ask < HTTP_ASK_N; ask++) {
        size_t len = http_answer_head(ask, SIZE_MAX, head);

        CHECK(len == strlen(head) && len < sizeof(head), "%d: %zu bytes", ask, len);
        CHECK(strncmp(head, "HTTP/1.0 ", 9) == 0 && strstr(head, "\r\n\r\n") == head + len - 4,
              "%d: %s", ask, head);
    }
    http_answer_head(HTTP_METRICS, 42, head);
    CHECK(strstr(head, "version=0.0.4") && strstr(head, "Content-Length: 42\r\n"), "%s", head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks),
        cmocka_unit_test(too_long),
        cmocka_unit_test(zeros),
        cmocka_unit_test(answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
