#include "tools/qmp_arguments.h"

#include <string.h>

#include "base/json_memory.h"

#define DEPTH_MAX 64

static int whole_object(const char *word, json_t **ret, struct error *err)
{
    json_error_t why;
    json_t *object = json_memory_load(word, strlen(word), JSON_REJECT_DUPLICATES, &why);

    if (!object)
        return err_set(err, ERR_USAGE, "'%.60s': %s", word, why.text);
    *ret = object;
    return 0;
}

/* NULL if the text is not UTF-8. */
static json_t *value_of(const char *text)
{
    json_t *value =
        json_memory_load(text, strlen(text), JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

    return value ? value : json_string(text);
}

/* The object that `key` is in; missing ones are made. *key becomes its last part. */
static json_t *object_for(json_t *object, const char **key, const char *end, const char *word,
                          struct error *err)
{
    const char *dot;

    for (size_t depth = 0; (dot = memchr(*key, '.', (size_t)(end - *key))); depth++) {
        size_t len = (size_t)(dot - *key);
        json_t *inner = json_object_getn(object, *key, len);

        if (len == 0 || depth == DEPTH_MAX) {
            err_set(err, ERR_USAGE, "'%.60s': expected names between dots, at most %d", word,
                    DEPTH_MAX);
            return NULL;
        }
        if (!inner && json_object_setn_new(object, *key, len, inner = json_object()) < 0) {
            err_set(err, ERR_USAGE, "'%.60s': the key is not UTF-8", word);
            return NULL;
        }
        if (!json_is_object(inner)) {
            err_set(err, ERR_USAGE, "'%.60s': '%.*s' is given as something else than an object",
                    word, (int)len, *key);
            return NULL;
        }
        object = inner;
        *key = dot + 1;
    }
    return object;
}

static int add(json_t *arguments, const char *word, struct error *err)
{
    const char *key = word, *end = strchr(word, '=');

    if (!end || end == word)
        return err_set(err, ERR_USAGE, "'%.60s': expected KEY=VALUE", word);
    json_t *object = object_for(arguments, &key, end, word, err);
    if (!object)
        return -1;
    if (key == end)
        return err_set(err, ERR_USAGE, "'%.60s': expected a name before '='", word);
    if (json_object_getn(object, key, (size_t)(end - key)))
        return err_set(err, ERR_USAGE, "'%.60s': the key is given twice", word);
    if (json_object_setn_new(object, key, (size_t)(end - key), value_of(end + 1)) < 0)
        return err_set(err, ERR_USAGE, "'%.60s': not UTF-8", word);
    return 0;
}

int qmp_arguments(const char *const *words, size_t n, json_t **ret, struct error *err)
{
    if (n == 0) {
        *ret = NULL;
        return 0;
    }
    if (n == 1 && words[0][0] == '{')
        return whole_object(words[0], ret, err);
    json_t *arguments = json_object();
    for (size_t i = 0; i < n; i++) {
        if (add(arguments, words[i], err) < 0) {
            json_decref(arguments);
            return -1;
        }
    }
    *ret = arguments;
    return 0;
}
