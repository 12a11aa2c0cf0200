#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tools/metrics_http.h"

/* A prefix that was judged stays so: more bytes may only end a wait. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char head[HTTP_HEAD_LEN];
    enum http_ask last = HTTP_MORE;

    for (size_t n = 0; n <= len && n <= HTTP_REQUEST_MAX && last == HTTP_MORE; n++)
        last = http_ask_of((const char *)data, n);
    if (last == HTTP_MORE)
        return 0;
    PROMISE(http_answer_head(last, len, head) == strlen(head));
    return 0;
}
