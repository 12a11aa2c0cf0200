#include "migration/postcopy_in.h"

#include <inttypes.h>

#include "base/bytes.h"

/* Without a payload it is about dirty bitmaps of disks only. */
static int advise(struct postcopy_in *p, const struct command *c, struct error *err)
{
    struct reader r = reader_of(c->payload, c->len);

    if (c->len == 0)
        return 0;
    get_u64(&r); /* the sizes of the source's host pages: none of ours depends on them */
    uint64_t page = get_u64(&r);
    if (page != RAM_PAGE_SIZE)
        return err_set(err, ERR_PEER, "pages of %" PRIu64 " bytes, expected %u", page,
                       RAM_PAGE_SIZE);
    if (!p->allowed)
        return err_set(err, ERR_PEER,
                       "postcopy-ram is on at the source, and this destination cannot run a guest "
                       "without all of its pages; switch it off there");
    p->advised = true;
    return 0;
}

static int obey(struct postcopy_in *p, struct ram_load *load, const struct command *c,
                struct error *err)
{
    if (c->id == COMMAND_POSTCOPY_ADVISE)
        return advise(p, c, err);
    if (!p->advised || load->map->n == 0 || p->running)
        return err_set(err, ERR_PEER, "%s",
                       p->running
                           ? "the source has switched to postcopy already"
                           : "expected POSTCOPY_ADVISE and the list of RAM blocks before it");
    if (c->id == COMMAND_POSTCOPY_RAM_DISCARD)
        return ram_missing_add(&load->missing, load->map, c, err);
    p->running = load->steady = c->id == COMMAND_POSTCOPY_RUN;
    return 0;
}

int postcopy_in_command(struct postcopy_in *p, struct ram_load *load, const struct command *c,
                        struct error *err)
{
    return obey(p, load, c, err) < 0 ? err_in(err, "command %s", command_name(c->id)) : 0;
}
