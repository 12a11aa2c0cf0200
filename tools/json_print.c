#include "tools/json_print.h"

#include <stdio.h>
#include <stdlib.h>

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

    if (!text)
        return err_set(err, ERR_SYSTEM, "memory for the result as JSON");
    put(text);
    free(text);
    if (fflush(stdout) != 0 || ferror(stdout))
        return err_sys(err, "standard output");
    return 0;
}
