#include "stream/section_handler.h"

#include <stdio.h>
#include <string.h>

/* --- the source ------------------------------------------------------------------------------ */

void section_savers_add(struct section_savers *list, struct section_saver *s)
{
    struct section_saver **end = &list->first;

    while (*end)
        end = &(*end)->next;
    s->next = NULL;
    *end = s;
}

static int body_out(struct section_saver *s, enum stream_element type, struct stream_out *out,
                    struct error *err)
{
    switch (type) {
    case STREAM_SECTION_START:
        return s->ops->start(s, out, err);
    case STREAM_SECTION_PART:
        return s->ops->part(s, out, err);
    default:
        return s->ops->end(s, out, err);
    }
}

static int section_out(struct section_saver *s, enum stream_element type, struct stream_out *out,
                       struct error *err)
{
    struct section head = {
        .type = type,
        .id = s->id,
        .instance = s->kind->instance,
        .version = s->kind->version,
    };

    snprintf(head.name, sizeof(head.name), "%s", s->kind->name);
    section_out_begin(out, &head);
    if (body_out(s, type, out, err) < 0)
        return -1;
    section_out_end(out, &head);
    return stream_out_flush(out, err); /* the destination waits for it */
}

int section_savers_out(const struct section_savers *list, enum stream_element type,
                       struct stream_out *out, struct error *err)
{
    for (struct section_saver *s = list->first; s; s = s->next) {
        if (section_out(s, type, out, err) < 0)
            return -1;
    }
    return 0;
}

uint64_t section_savers_pending(const struct section_savers *list)
{
    uint64_t sum = 0;

    for (const struct section_saver *s = list->first; s; s = s->next)
        sum += s->ops->pending(s);
    return sum;
}

/* --- the destination ------------------------------------------------------------------------- */

void section_loaders_add(struct section_loaders *list, struct section_loader *l)
{
    struct section_loader **end = &list->first;

    while (*end)
        end = &(*end)->next;
    l->next = NULL;
    *end = l;
}

/* Names all loaders, as far as there is room. */
static void no_loader(const struct section_loaders *list, const struct section *s,
                      struct error *err)
{
    char names[128] = "";
    size_t len = 0;

    for (const struct section_loader *l = list->first; l && len < sizeof(names); l = l->next)
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s'%s'",
                                l == list->first ? "" : ", ", l->kind->name);
    err_set(err, ERR_PEER, "section '%s' iterates, expected only %s: nothing here takes it",
            s->name, names);
}

/* Finds the loader with this name and instance. If there is none, returns another one with this
 * name, so that the error can say which instance is expected; or NULL. */
static struct section_loader *find_named(const struct section_loaders *list,
                                         const struct section *s)
{
    struct section_loader *found = NULL;

    for (struct section_loader *l = list->first; l; l = l->next) {
        if (strcmp(l->kind->name, s->name) != 0)
            continue;
        if (l->kind->instance == s->instance)
            return l;
        found = l;
    }
    return found;
}

static struct section_loader *find_numbered(const struct section_loaders *list, uint32_t id)
{
    struct section_loader *l = list->first;

    while (l && (l->state == SECTION_AWAITED || l->id != id))
        l = l->next;
    return l;
}

static int check_start(const struct section_loader *l, const struct section *s, struct error *err)
{
    const struct section_kind *k = l->kind;

    if (l->state != SECTION_AWAITED)
        return err_set(err, ERR_PEER, "a second %s start, expected one", k->title);
    if (s->version != k->version)
        return err_set(err, ERR_PEER, "%s: version %u, expected %u", k->title, s->version,
                       k->version);
    if (s->instance != k->instance)
        return err_set(err, ERR_PEER, "%s: instance %u, expected %u", k->title, s->instance,
                       k->instance);
    return 0;
}

/* NULL: refused, as for find(). */
static struct section_loader *find_new(const struct section_loaders *list, const struct section *s,
                                       struct error *err)
{
    struct section_loader *l = find_named(list, s);

    if (!l) {
        no_loader(list, s, err);
        return NULL;
    }
    if (check_start(l, s, err) < 0)
        return NULL;
    if (find_numbered(list, s->id)) {
        err_set(err, ERR_PEER, "%s: section id %u, which another section has", l->kind->title,
                s->id);
        return NULL;
    }
    return l;
}

static struct section_loader *find(const struct section_loaders *list, const struct section *s,
                                   struct error *err)
{
    if (s->type == STREAM_SECTION_START)
        return find_new(list, s, err);
    struct section_loader *l = find_numbered(list, s->id);
    if (l && l->state == SECTION_OPEN)
        return l;
    if (l)
        err_set(err, ERR_PEER, "%s: goes on after its end", l->kind->title);
    else
        err_set(err, ERR_PEER, "section id %u: never started", s->id);
    return NULL;
}

int section_loaders_in(const struct section_loaders *list, const struct section *s,
                       struct stream_in *in, struct error *err)
{
    struct section_loader *l = find(list, s, err);

    if (!l)
        return -1;
    l->id = s->id;
    l->state = s->type == STREAM_SECTION_END ? SECTION_ENDED : SECTION_OPEN;
    if (l->load(l, in, s, err) < 0)
        return -1;
    section_in_end(in, s);
    return stream_in_check(in, err);
}

bool section_loaders_ended(const struct section_loaders *list)
{
    for (const struct section_loader *l = list->first; l; l = l->next) {
        if (l->state != SECTION_ENDED)
            return false;
    }
    return true;
}
