#include "control/settings_json.h"

#include <stdlib.h>

#include "base/macros.h"
#include "base/words.h"
#include "control/qmp_command.h"

/* --- in -------------------------------------------------------------------------------------- */

static const struct qmp_argument capability_members[] = {
    {"capability", QMP_STRING, false},
    {"state", QMP_BOOL, false},
};

static int read_capability(const json_t *entry, struct settings *change, struct error *err)
{
    struct refusal ignored;

    if (!json_is_object(entry))
        return err_set(err, ERR_USAGE, "Parameter 'capabilities' expects objects in its list");
    if (qmp_check(entry, capability_members, ARRAY_LEN(capability_members), err) < 0)
        return -1;
    const char *name = json_string_value(json_object_get(entry, "capability"));
    int id = capability_find(name);
    if (id < 0)
        return err_set(err, ERR_USAGE, "Parameter 'capability': there is no '%.60s'", name);
    return settings_say_capability(change, (enum capability)id,
                                   json_is_true(json_object_get(entry, "state")), &ignored, err);
}

int capabilities_of_json(const json_t *list, struct settings *change, struct error *err)
{
    size_t i;
    json_t *entry;

    settings_init(change);
    json_array_foreach(list, i, entry)
    {
        if (read_capability(entry, change, err) < 0)
            return -1;
    }
    return 0;
}

/* Stands for a list with members: the gate refuses all lists but the empty one. */
#define SOME_LIST "a list"

/* The JSON type of each kind of parameter. */
static const enum qmp_type json_types[] = {
    [KIND_NUMBER] = QMP_INTEGER, [KIND_SIZE] = QMP_INTEGER, [KIND_LEVEL] = QMP_INTEGER,
    [KIND_BOOL] = QMP_BOOL,      [KIND_ENUM] = QMP_STRING,  [KIND_TEXT] = QMP_STRING,
    [KIND_WORDS] = QMP_LIST,     [KIND_LIST] = QMP_LIST,
};
_Static_assert(ARRAY_LEN(json_types) == KIND_N, "a type for each kind");

/* Reads a list of texts. Only one parameter takes one: so one *ret is enough. */
static int read_words(const char *name, const json_t *list, char **ret, struct error *err)
{
    const char *words[WORDS_MAX];
    size_t n = json_array_size(list);

    if (n > WORDS_MAX)
        return err_set(err, ERR_USAGE, "Parameter '%s' expects at most %d words", name, WORDS_MAX);
    for (size_t i = 0; i < n; i++) {
        words[i] = json_string_value(json_array_get(list, i));
        if (!words[i])
            return err_set(err, ERR_USAGE, "Parameter '%s' expects strings in its list", name);
    }
    *ret = words_join(words, n);
    return *ret ? 0 : err_sys(err, "memory for a list");
}

/* The value's type has been checked. */
static int read_value(enum parameter id, const json_t *json, union parameter_value *ret,
                      char **ret_words, struct error *err)
{
    const struct parameter_info *p = &parameters[id];

    switch (p->kind) {
    case KIND_LEVEL:
        ret->level = json_integer_value(json);
        return 0;
    case KIND_BOOL:
        ret->number = json_is_true(json);
        return 0;
    case KIND_ENUM:
        return parameter_parse(id, json_string_value(json), ret, err) == PARAM_OK ? 0 : -1;
    case KIND_TEXT:
        ret->text = json_string_value(json);
        return 0;
    case KIND_WORDS:
        if (read_words(p->name, json, ret_words, err) < 0)
            return -1;
        ret->text = *ret_words;
        return 0;
    case KIND_LIST:
        ret->text = json_array_size(json) ? SOME_LIST : "";
        return 0;
    default:
        if (json_integer_value(json) < 0)
            return err_set(err, ERR_USAGE, "Parameter '%s' expects a value of at least 0", p->name);
        ret->number = (uint64_t)json_integer_value(json);
        return 0;
    }
}

/* null stands for an empty text. */
static int read_parameter(const char *name, const json_t *json, struct settings *change,
                          char **ret_words, struct error *err)
{
    int id = parameter_find(name);
    union parameter_value value = {.text = ""};
    struct refusal ignored;

    if (id < 0)
        return err_set(err, ERR_USAGE, "Parameter '%.60s' is unexpected", name);
    bool none = json_is_null(json) && parameters[id].kind == KIND_TEXT;
    enum qmp_type type = json_types[parameters[id].kind];
    if (!none && !qmp_type_is(type, json))
        return err_set(err, ERR_USAGE, "Parameter '%s' expects a value of type %s", name,
                       qmp_type_name(type));
    if (!none && read_value((enum parameter)id, json, &value, ret_words, err) < 0)
        return -1;
    return settings_say_parameter(change, (enum parameter)id, value, &ignored, err);
}

int parameters_of_json(const json_t *object, struct settings *change, char **ret_words,
                       struct error *err)
{
    const char *name;
    json_t *value;

    *ret_words = NULL;
    settings_init(change);
    json_object_foreach(UNQUALIFIED(object), name, value)
    {
        if (read_parameter(name, value, change, ret_words, err) < 0) {
            free(*ret_words);
            *ret_words = NULL;
            return -1;
        }
    }
    return 0;
}

/* --- out ------------------------------------------------------------------------------------- */

json_t *capabilities_json(const struct settings *s)
{
    json_t *list = json_array();

    for (int i = 0; i < CAP_N; i++) {
        if (!capabilities[i].removed)
            json_array_append_new(list, json_pack("{s:s, s:b}", "capability", capabilities[i].name,
                                                  "state", settings_on(s, (enum capability)i)));
    }
    return list;
}

/* A number that the JSON library's integer cannot hold is shown as a real, which may round it. */
static json_t *number_json(uint64_t n)
{
    return n <= INT64_MAX ? json_integer((json_int_t)n) : json_real((double)n);
}

static json_t *words_json(const char *line)
{
    json_t *list = json_array();
    struct error ignored;
    char **words;

    if (words_split(line, &words, &ignored) < 0)
        return list;
    for (size_t i = 0; words[i]; i++)
        json_array_append_new(list, json_string(words[i]));
    words_free(words);
    return list;
}

json_t *parameter_value_json(enum parameter id, union parameter_value value)
{
    const struct parameter_info *p = &parameters[id];

    switch (p->kind) {
    case KIND_LEVEL:
        return json_integer(value.level);
    case KIND_BOOL:
        return json_boolean(value.number);
    case KIND_ENUM:
        return json_string(p->names[value.number]);
    case KIND_TEXT:
        return json_string(value.text);
    case KIND_WORDS:
        return words_json(value.text);
    case KIND_LIST:
        return json_array();
    default:
        return number_json(value.number);
    }
}

/* QEMU shows block-bitmap-mapping only where it is set; here it never is. */
json_t *parameters_json(const struct settings *s)
{
    json_t *object = json_object();

    for (int i = 0; i < PARAM_N; i++) {
        if (!parameters[i].removed && i != PARAM_BLOCK_BITMAP_MAPPING)
            json_object_set_new(object, parameters[i].name,
                                parameter_value_json((enum parameter)i, s->parameters[i]));
    }
    return object;
}
