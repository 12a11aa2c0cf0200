#include "migration/replies.h"

#include <errno.h>

#include "base/clock.h"
#include "stream/return_path.h"

#define ALIVE_MS 1000

void replies_init(struct replies *r, struct channel_group *group)
{
    *r = (struct replies){.group = group};
    pthread_mutex_init(&r->lock, NULL);
}

void replies_done(struct replies *r)
{
    pthread_mutex_destroy(&r->lock);
}

int replies_open(struct replies *r, struct channel *main, struct error *err)
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

bool replies_are_open(struct replies *r)
{
    pthread_mutex_lock(&r->lock);
    bool open = r->main;
    pthread_mutex_unlock(&r->lock);
    return open;
}

int replies_send(struct replies *r, enum return_message type, uint32_t value, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&r->lock);
    if (r->main && !r->closed)
        rc = return_path_send(r->main, type, value, 0, err);
    r->closed |= type == RETURN_SHUT;
    pthread_mutex_unlock(&r->lock);
    return rc;
}

uint32_t replies_verdict(const struct error *err)
{
    if (err->sys > 0)
        return (uint32_t)err->sys;
    return err->kind == ERR_CANCELLED ? ECANCELED : EPROTO;
}

/* Waits neither for the peer nor for a reply that is being sent. */
static void say_now(struct replies *r, enum return_message type, uint32_t value)
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
void replies_refuse(struct replies *r, const struct error *err)
{
    say_now(r, RETURN_SHUT, replies_verdict(err));
}

/* --- alive ----------------------------------------------------------------------------------- */

/*
 * Sends with the group's lock held, as replies_refuse() does, so the two never meet. A reply that
 * is being sent says as much as ALIVE would.
 */
static void *alive_main(void *arg)
{
    struct replies *r = arg;
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

int replies_keep_alive(struct replies *r, struct error *err)
{
    if (r->thread.running)
        return 0;
    return thread_start(&r->thread, alive_main, r, err, "alive");
}

void replies_end(struct replies *r)
{
    if (!r->thread.running)
        return;
    pthread_mutex_lock(&r->group->lock);
    r->ending = true;
    pthread_cond_broadcast(&r->group->changed);
    pthread_mutex_unlock(&r->group->lock);
    thread_join(&r->thread);
}
