#include "migration/answers.h"

#include <errno.h>

#include "base/clock.h"
#include "stream/return_path.h"

/*
 * A QEMU says 1 of any error, and that is also EPERM's number. Others may send what their system
 * calls return, negated; or anything.
 */
static int bad_verdict(uint32_t verdict, struct error *err)
{
    char reason[ERR_REASON_LEN] = "it does not say why";

    if (verdict != 1)
        err_reason((int)verdict, reason);
    return err_set(err, ERR_PEER,
                   "the destination has failed: %s (SHUT %u); see what it says itself", reason,
                   verdict);
}

/* --- the reader ------------------------------------------------------------------------------ */

static int read_all(struct answers *a, struct stream_in *in, struct error *err)
{
    struct return_path_message msg;

    do {
        if (return_path_recv(in, &msg, err) < 0)
            return -1;
        pthread_mutex_lock(&a->group->lock);
        if (msg.type == RETURN_PONG)
            a->pong = msg.value;
        a->acked |= msg.type == RETURN_SWITCHOVER_ACK;
        a->known = msg.type == RETURN_SHUT;
        a->verdict = a->known ? msg.value : 0;
        pthread_cond_broadcast(&a->group->changed);
        pthread_mutex_unlock(&a->group->lock);
    } while (msg.type != RETURN_SHUT);
    return msg.value ? bad_verdict(msg.value, err) : 0;
}

static void *answers_main(void *arg)
{
    struct answers *a = arg;
    struct stream_in in;
    struct error err;

    if (stream_in_init(&in, a->main, &err) < 0 || read_all(a, &in, &err) < 0)
        channel_group_fail(a->group, &err);
    stream_in_done(&in);
    return NULL;
}

int answers_start(struct answers *a, struct channel_group *group, struct channel *main,
                  struct error *err)
{
    a->group = group;
    a->main = main;
    errno = pthread_create(&a->thread, NULL, answers_main, a);
    if (errno)
        return err_thread(err, "return path: thread");
    a->started = true;
    return 0;
}

void answers_end(struct answers *a)
{
    if (a->started)
        pthread_join(a->thread, NULL);
    a->started = false;
}

bool answers_failed(const struct answers *a, struct error *err)
{
    if (!a->known || a->verdict == 0)
        return false;
    bad_verdict(a->verdict, err);
    return true;
}

bool answers_missed(const struct answers *a)
{
    return a->missed && (!a->known || a->verdict == 0);
}

/* --- those who wait -------------------------------------------------------------------------- */

/* Under the lock: nothing has ended that must not end yet. */
static int check_going_on(const struct answers *a, struct error *err)
{
    if (a->group->failed) {
        *err = a->group->err;
        return -1;
    }
    return a->known
               ? err_set(err, ERR_PEER, "return path: SHUT %u before the stream's end", a->verdict)
               : 0;
}

int answers_await_pong(struct answers *a, uint32_t ping, struct error *err)
{
    struct channel_group *g = a->group;

    pthread_mutex_lock(&g->lock);
    while (a->pong != ping && !a->known && !g->failed)
        channel_group_wait(g, DEADLINE_NEVER);
    int rc = check_going_on(a, err);
    pthread_mutex_unlock(&g->lock);
    return rc;
}

int answers_await_ack(struct answers *a, uint64_t deadline, struct error *err)
{
    struct channel_group *g = a->group;
    bool in_time = true;

    pthread_mutex_lock(&g->lock);
    while (!a->acked && !a->known && !g->failed && in_time)
        in_time = channel_group_wait(g, deadline);
    int rc = check_going_on(a, err);
    pthread_mutex_unlock(&g->lock);
    return rc;
}

bool answers_acked(struct answers *a)
{
    pthread_mutex_lock(&a->group->lock);
    bool acked = a->acked;
    pthread_mutex_unlock(&a->group->lock);
    return acked;
}

int answers_await_verdict(struct answers *a, const bool *hurry, uint64_t stall_ms,
                          struct error *err)
{
    struct channel_group *g = a->group;
    uint64_t deadline = DEADLINE_NEVER;
    bool in_time = true;
    int rc = 0;

    pthread_mutex_lock(&g->lock);
    while (!a->known && !g->failed && in_time) {
        if (*hurry && deadline == DEADLINE_NEVER)
            deadline = deadline_in_ms(stall_ms);
        in_time = channel_group_wait(g, deadline);
    }
    if (a->known) {
        rc = a->verdict ? bad_verdict(a->verdict, err) : 0;
    } else if (g->failed) {
        *err = g->err;
        rc = -1;
    } else {
        a->missed = true;
        rc = err_set(err, ERR_PEER,
                     "cancelled too late: the destination has everything, and has given no verdict "
                     "for %.1f s; it may have the guest, which stays stopped here",
                     (double)stall_ms / 1000);
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}
