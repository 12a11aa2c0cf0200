#include "tools/json_print.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json_memory.h"
#include "tools/output.h"

#define DELETE 0x7f /* the one control character that jansson leaves as it is */

static void put(const char *text)
{
    for (; *text; text++) {
        if (*text == DELETE)
            fputs("\\u007f", stdout);
        else
            putchar(*text);
    }
    putchar('\n');
}

int json_print(const json_t *json, size_t flags, struct error *err)
{
    char *text = json ? json_dumps(json, flags | JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;

    int rc = text ? json_memory_check(err) : json_memory_error(err);
    if (text && rc == 0) {
        put(text);
        rc = output_flush(err);
    }
    free(text);
    return rc;
}
