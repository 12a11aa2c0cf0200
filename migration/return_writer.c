#include "migration/return_writer.h"

#include <errno.h>

#include "base/clock.h"
#include "stream/return_path.h"

#define ALIVE_MS 1000

void return_writer_init(struct return_writer *r, struct channel_group *group)
{
    *r = (struct return_writer){.group = group};
    pthread_mutex_init(&r->lock, NULL);
}

void return_writer_done(struct return_writer *r)
{
    pthread_mutex_destroy(&r->lock);
}

int return_writer_open(struct return_writer *r, struct channel *main, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&r->lock);
    if (r->main)
        rc = err_set(err, ERR_PEER, "command OPEN_RETURN_PATH: a second one, expected one");
    else
        r->main = main;
    pthread_mutex_unlock(&r->lock);
    return rc;
}

bool return_writer_are_open(struct return_writer *r)
{
    pthread_mutex_lock(&r->lock);
    bool open = r->main;
    pthread_mutex_unlock(&r->lock);
    return open;
}

int return_writer_send(struct return_writer *r, enum return_message type, uint32_t value,
                       struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&r->lock);
    if (r->main && !r->closed)
        rc = return_path_send(r->main, type, value, 0, err);
    r->closed |= type == RETURN_SHUT;
    pthread_mutex_unlock(&r->lock);
    return rc;
}

uint32_t return_writer_verdict(const struct error *err)
{
    if (err->sys > 0)
        return (uint32_t)err->sys;
    return err->kind == ERR_CANCELLED ? ECANCELED : EPROTO;
}

/* Waits neither for the peer nor for a reply that is being sent. */
static void say_now(struct return_writer *r, enum return_message type, uint32_t value)
{
    struct error ignored;

    if (pthread_mutex_trylock(&r->lock) != 0)
        return;
    if (r->main && !r->closed)
        (void)!return_path_send(r->main, type, value, CHANNEL_NOWAIT, &ignored);
    r->closed |= type == RETURN_SHUT;
    pthread_mutex_unlock(&r->lock);
}

/* Must not wait, because every thread waits to be woken: a peer that does not read its return path
 * is not told. */
void return_writer_refuse(struct return_writer *r, const struct error *err)
{
    say_now(r, RETURN_SHUT, return_writer_verdict(err));
}

/* --- alive ----------------------------------------------------------------------------------- */

/*
 * Sends with the group's lock held, as return_writer_refuse() does, so the two never meet. A reply
 * that is being sent says as much as ALIVE would.
 */
static void *alive_main(void *arg)
{
    struct return_writer *r = arg;
    struct channel_group *g = r->group;
    uint64_t next = deadline_in_ms(ALIVE_MS);

    pthread_mutex_lock(&g->lock);
    while (!r->ending && !g->failed) {
        if (channel_group_wait(g, next))
            continue;
        say_now(r, RETURN_SWITCHOVER_ALIVE, 0);
        next = deadline_in_ms(ALIVE_MS);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

int return_writer_keep_alive(struct return_writer *r, struct error *err)
{
    if (r->thread.running)
        return 0;
    return thread_start(&r->thread, alive_main, r, err, "alive");
}

void return_writer_end(struct return_writer *r)
{
    if (!r->thread.running)
        return;
    pthread_mutex_lock(&r->group->lock);
    r->ending = true;
    pthread_cond_broadcast(&r->group->changed);
    pthread_mutex_unlock(&r->group->lock);
    thread_join(&r->thread);
}
