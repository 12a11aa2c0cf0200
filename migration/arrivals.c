#include "migration/arrivals.h"

#include "base/clock.h"

#define REFUSED_TOLD 8 /* this many refusals are reported; a flood of them is not */

void arrivals_add(struct acceptor *a, struct arrival *arrival)
{
    arrival->number = ++a->accepted;
    arrival->deadline = deadline_in_ms(a->config.connect->connect_timeout_ms);
    arrival->older = a->newest;
    *(a->newest ? &a->newest->newer : &a->oldest) = arrival;
    a->newest = arrival;
    a->living++;
    acceptor_wake(a); /* there is a new deadline, and the acceptor may be asleep */
}

void arrivals_remove(struct acceptor *a, struct arrival *arrival)
{
    if (a->oldest != arrival && !arrival->older)
        return;
    *(arrival->older ? &arrival->older->newer : &a->oldest) = arrival->newer;
    *(arrival->newer ? &arrival->newer->older : &a->newest) = arrival->older;
    arrival->older = arrival->newer = NULL;
    if (a->settling || !a->main) /* a thread may wait for the last one */
        pthread_cond_broadcast(&a->group->changed);
    if (a->main_over) /* and so may the acceptor */
        acceptor_wake(a);
}

bool arrival_is_in_time(struct arrival *arrival)
{
    arrival->known = !arrival->dismissed;
    return arrival->known;
}

/* The connection's thread wakes up, and drops the channel. */
static void dismiss(struct acceptor *a, struct arrival *arrival)
{
    if (arrival->dismissed || arrival->known)
        return;
    arrival->dismissed = true;
    a->last_refused = MAX(a->last_refused, arrival->number);
    channel_interrupt(arrival->channel);
}

bool arrivals_dismiss_oldest(struct acceptor *a)
{
    for (struct arrival *i = a->oldest; i; i = i->newer) {
        if (!i->dismissed && !i->known) {
            dismiss(a, i);
            return true;
        }
    }
    return false;
}

void arrivals_dismiss_late(struct acceptor *a)
{
    uint64_t now = clock_ns();

    for (struct arrival *i = a->oldest; i; i = i->newer) {
        if (i->deadline <= now)
            dismiss(a, i);
    }
}

bool arrivals_await_channel(const struct acceptor *a, uint64_t newest)
{
    for (const struct arrival *i = a->oldest; i; i = i->newer) {
        if (i->number > a->main_number && i->number <= newest)
            return true;
    }
    return false;
}

void arrivals_refuse(struct acceptor *a, const struct arrival *arrival, struct error *err)
{
    if (arrival->peer[0])
        err_in(err, "from %s", arrival->peer);
    pthread_mutex_lock(&a->group->lock);
    if (a->n_refused == 0)
        a->refused = *err;
    a->last_refused = MAX(a->last_refused, arrival->number);
    bool told = a->n_refused++ < REFUSED_TOLD;
    pthread_mutex_unlock(&a->group->lock);
    if (told && a->config.refused)
        a->config.refused(a->config.arg, err);
}
