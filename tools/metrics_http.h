/*
 * tools/metrics_http.h: the little of HTTP/1.0 that a scrape needs: what a request asks for, and
 * the head of the answer. Bytes in, bytes out; no I/O.
 */
#pragma once

#include <stddef.h>

#define HTTP_REQUEST_MAX 4096 /* bytes of a request, with its headers */
#define HTTP_HEAD_LEN    256

enum http_ask {
    HTTP_MORE,    /* the request is not complete */
    HTTP_METRICS, /* GET /metrics */
    HTTP_HEAD,    /* HEAD /metrics */
    HTTP_ELSEWHERE,
    HTTP_OTHER_METHOD,
    HTTP_BAD,
    HTTP_TOO_LONG,
    HTTP_ASK_N
};

/*
 * Looks at the bytes that have come so far, from anyone. The headers are not looked at; a body is
 * not waited for.
 */
enum http_ask http_ask_of(const char *bytes, size_t len);
/* The answer's head, of a body with so many bytes; returns its length. The text has its end. Not
 * for HTTP_MORE. */
size_t http_answer_head(enum http_ask ask, size_t body_len, char ret[static HTTP_HEAD_LEN]);
