#include "base/json_read.h"

#include <stdio.h>

#include "base/printable.h"

void json_word(const json_t *object, const char *member, const char *otherwise, char *ret,
               size_t size)
{
    const char *text = json_string_value(json_object_get(object, member));

    snprintf(ret, size, "%s", text ? text : otherwise);
    printable(ret);
}

uint64_t json_count(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);
    double number = json_number_value(value);

    if (json_is_integer(value))
        return json_integer_value(value) < 0 ? 0 : (uint64_t)json_integer_value(value);
    return number >= 0 && number < 0x1p63 ? (uint64_t)number : 0;
}
