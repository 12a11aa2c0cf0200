#include <stdlib.h>

#include "base/bytes.h"
#include "migration/origin.h"

struct origin_listener {
    struct origin base;
    struct acceptor_config config;
    struct acceptor *acceptor; /* NULL: it does not listen yet */
};

static struct acceptor *acceptor_of(const struct origin *o)
{
    return CONTAINER_OF(o, const struct origin_listener, base)->acceptor;
}

static int listener_open(struct origin *o, struct error *err)
{
    struct origin_listener *l = CONTAINER_OF(o, struct origin_listener, base);

    return acceptor_new(&l->config, &l->acceptor, err);
}

static const char *listener_address(const struct origin *o)
{
    return acceptor_address(acceptor_of(o));
}

static int listener_await_main(struct origin *o, struct channel **ret, struct error *err)
{
    if (acceptor_start(acceptor_of(o), err) < 0)
        return -1;
    return acceptor_await_main(acceptor_of(o), ret, err);
}

/* The magic by which main was recognised is the stream's first field: puts it back. */
static void listener_begin(struct origin *o, struct main_stream *ms, struct ram_load *load)
{
    uint8_t bytes[sizeof(uint32_t)];
    struct writer w = writer_of(bytes, sizeof(bytes));

    (void)o;
    (void)load;
    put_u32(&w, STREAM_MAGIC);
    stream_in_unread(ms->in, bytes, sizeof(bytes));
}

static int listener_settle(struct origin *o, struct error *err)
{
    return acceptor_settle(acceptor_of(o), err);
}

static void listener_enough(struct origin *o)
{
    acceptor_enough(acceptor_of(o));
}

static void listener_proven(struct origin *o)
{
    acceptor_proven(acceptor_of(o));
}

static int listener_check_complete(struct origin *o, bool expected, struct error *err)
{
    return acceptor_check_complete(acceptor_of(o), expected, err);
}

static void listener_end(struct origin *o)
{
    if (acceptor_of(o))
        acceptor_end(acceptor_of(o));
}

static void listener_free(struct origin *o)
{
    acceptor_free(acceptor_of(o));
    free(CONTAINER_OF(o, struct origin_listener, base));
}

static const struct origin_ops listener_ops = {
    .has_peer = true,
    .main_name = "main channel",
    .open = listener_open,
    .address = listener_address,
    .await_main = listener_await_main,
    .begin = listener_begin,
    .settle = listener_settle,
    .enough = listener_enough,
    .proven = listener_proven,
    .check_complete = listener_check_complete,
    .end = listener_end,
    .free = listener_free,
};

int origin_listener_new(const struct acceptor_config *config, struct origin **ret,
                        struct error *err)
{
    struct origin_listener *l = calloc(1, sizeof(*l));

    if (!l)
        return err_sys(err, "memory for a listener");
    l->base.ops = &listener_ops;
    l->config = *config;
    *ret = &l->base;
    return 0;
}
