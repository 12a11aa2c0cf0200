#include "tools/json_print.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/printable.h"
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

    int rc = text ? output_has_memory(err) : output_no_memory(err);
    if (text && rc == 0) {
        put(text);
        rc = output_flush(err);
    }
    free(text);
    return rc;
}

void json_word(const json_t *object, const char *member, const char *otherwise, char *ret,
               size_t size)
{
    const char *text = json_string_value(json_object_get(object, member));

    snprintf(ret, size, "%s", text ? text : otherwise);
    printable(ret);
}
