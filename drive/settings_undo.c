#include "drive/settings_undo.h"

static void add_capability(json_t **arguments, const json_t *name, bool on)
{
    if (!*arguments)
        *arguments = json_pack("{s:[]}", "capabilities");
    json_array_append_new(json_object_get(*arguments, "capabilities"),
                          json_pack("{s:O, s:b}", "capability", name, "state", (int)on));
}

static void undo_capabilities(json_t *made, const struct monitor *m, struct migrate_changes *ret)
{
    json_t *change;
    size_t i;

    json_array_foreach(json_object_get(made, "capabilities"), i, change)
    {
        const json_t *name = json_object_get(change, "capability");
        bool was = json_is_true(json_object_get(m->capabilities, json_string_value(name)));

        if (was != json_is_true(json_object_get(change, "state")))
            add_capability(was ? &ret->on : &ret->off, name, was);
    }
}

/* A text that a VM does not show is not set: the empty text says so. */
static void undo_parameters(json_t *made, const struct monitor *m, json_t **ret)
{
    const char *name;
    json_t *now;

    json_object_foreach(made, name, now)
    {
        json_t *was = json_object_get(m->parameters, name);

        if (json_equal(was, now) || (!was && !json_is_string(now)))
            continue;
        if (!*ret)
            *ret = json_object();
        if (was)
            json_object_set(*ret, name, was);
        else
            json_object_set_new(*ret, name, json_string(""));
    }
}

void settings_undo_of(const struct migrate_changes *made, const struct monitor *m,
                      struct migrate_changes *ret)
{
    *ret = (struct migrate_changes){0};
    undo_capabilities(made->off, m, ret);
    undo_capabilities(made->on, m, ret);
    undo_parameters(made->parameters, m, &ret->parameters);
}
