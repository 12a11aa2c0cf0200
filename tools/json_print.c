#include "tools/json_print.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json_memory.h"
#include "tools/output.h"

#define DELETE 0x7f /* the one control character that jansson leaves as it is */

static void put(const char *text, FILE *to)
{
    for (; *text; text++) {
        if (*text == DELETE)
            fputs("\\u007f", to);
        else
            fputc(*text, to);
    }
    fputc('\n', to);
}

int json_print(const json_t *json, size_t flags, struct error *err)
{
    char *text = json ? json_dumps(json, flags | JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;

    int rc = text ? json_memory_check(err) : json_memory_error(err);
    if (text && rc == 0) {
        put(text, stdout);
        rc = output_flush(err);
    }
    free(text);
    return rc;
}

void json_print_line(FILE *to, const json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    if (text) {
        put(text, to);
        fflush(to);
    }
    free(text);
}
