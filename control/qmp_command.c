#include "control/qmp_command.h"

#include <string.h>

#include "base/macros.h"

static const struct {
    const char *name;
    int types[2]; /* jansson's; two, because true and false are different types there */
} types[] = {
    [QMP_STRING] = {"string", {JSON_STRING, JSON_STRING}},
    [QMP_BOOL] = {"boolean", {JSON_TRUE, JSON_FALSE}},
    [QMP_INTEGER] = {"integer", {JSON_INTEGER, JSON_INTEGER}},
    [QMP_OBJECT] = {"object", {JSON_OBJECT, JSON_OBJECT}},
    [QMP_LIST] = {"array", {JSON_ARRAY, JSON_ARRAY}},
};
_Static_assert(ARRAY_LEN(types) == QMP_TYPE_N, "a row for each type");

const char *qmp_type_name(enum qmp_type type)
{
    return types[type].name;
}

bool qmp_type_is(enum qmp_type type, const json_t *value)
{
    int is = (int)json_typeof(value);

    return is == types[type].types[0] || is == types[type].types[1];
}

static bool is_known(const char *name, const struct qmp_argument *members, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(members[i].name, name) == 0)
            return true;
    }
    return false;
}

int qmp_check(const json_t *object, const struct qmp_argument *members, size_t n, struct error *err)
{
    const char *name;
    json_t *value;

    for (size_t i = 0; i < n; i++) {
        value = json_object_get(object, members[i].name);
        if (!value && !members[i].optional)
            return err_set(err, ERR_USAGE, "Parameter '%s' is missing", members[i].name);
        if (value && !qmp_type_is(members[i].type, value))
            return err_set(err, ERR_USAGE, "Parameter '%s' expects a value of type %s",
                           members[i].name, qmp_type_name(members[i].type));
    }
    json_object_foreach(UNQUALIFIED(object), name, value)
    {
        if (!is_known(name, members, n))
            return err_set(err, ERR_USAGE, "Parameter '%.60s' is unexpected", name);
    }
    return 0;
}
