#include "tools/vm_memory.h"

#include <string.h>

#include "base/memory_room.h"

/* Main memory, from the short options. */
static int short_form(const struct options *o, struct memory_backend_config *ret, struct error *err)
{
    const struct memory_backing_config *b = &o->backing;

    *ret = (struct memory_backend_config){.id = MEMORY_MAIN,
                                          .bytes = o->memory_bytes,
                                          .kind = b->kind,
                                          .page_bytes = b->page_bytes,
                                          .mapped = true,
                                          .migratable = true};
    if ((b->path && strlen(b->path) >= sizeof(ret->path)) ||
        (b->numa && strlen(b->numa) >= sizeof(ret->numa)))
        return err_set(err, ERR_USAGE, "--backend, --numa: longer than %zu and %zu bytes",
                       sizeof(ret->path) - 1, sizeof(ret->numa) - 1);
    strcpy(ret->path, b->path ? b->path : "");
    strcpy(ret->numa, b->numa ? b->numa : "");
    return 0;
}

/* Main memory, from a --memory-backend instead of the short options. */
static int set_main(const struct options *o, const struct memory_backend_config *c,
                    struct vm_memory *ret, struct error *err)
{
    if (strcmp(c->id, MEMORY_MAIN) != 0 || !c->mapped || c->address != 0)
        return err_set(err, ERR_USAGE,
                       "'%s': at address 0 is the guest's main memory, id=%s, addr=0", c->id,
                       MEMORY_MAIN);
    if (!c->migratable)
        return err_set(err, ERR_USAGE, "'%s': the guest cannot run without it: leave migratable on",
                       c->id);
    if (o->memory_said || ret->main.said)
        return err_set(err, ERR_USAGE,
                       "'%s': given twice; leave out --memory, --backend and --numa with it",
                       c->id);
    ret->main = *c;
    return 0;
}

static int take_backend(const struct options *o, const char *text, struct vm_memory *m,
                        struct memory_backends *all, struct error *err)
{
    struct memory_backend_config c;

    if (memory_backend_parse(text, &c, err) < 0)
        return -1;
    if (strcmp(c.id, MEMORY_MAIN) == 0 || (c.mapped && c.address == 0))
        return set_main(o, &c, m, err);
    if (memory_backends_add(all, &c, err) < 0)
        return -1;
    if (!c.mapped)
        return 0;
    if (m->n_more == ARRAY_LEN(m->more))
        return err_set(err, ERR_USAGE, "'%s': more than %zu of them at addresses", c.id,
                       ARRAY_LEN(m->more));
    m->more[m->n_more++] = c;
    return 0;
}

/* Whether the guest will touch all of its memory, and no file or pool of huge pages has room for
 * it. An idle guest, one that comes and a program of the user's may touch little. */
static bool fills(const struct options *o, const struct memory_backend_config *c)
{
    return o->guest && strncmp(o->guest, "idle", strlen("idle")) != 0 &&
           (c->kind == MEMORY_ANON || c->kind == MEMORY_MEMFD);
}

int vm_memory_read(const struct options *o, struct memory_backends *all, struct vm_memory *ret,
                   struct error *err)
{
    *ret = (struct vm_memory){0};
    for (size_t i = 0; i < o->n_backends; i++) {
        if (take_backend(o, o->backends[i], ret, all, err) < 0)
            return err_in(err, "--memory-backend");
    }
    if (!ret->main.said && short_form(o, &ret->main, err) < 0)
        return -1;
    if (fills(o, &ret->main) && memory_room_check(ret->main.bytes, ret->main.bytes, err) < 0)
        return err_in(err, "--memory");
    return memory_backends_add(all, &ret->main, err);
}
