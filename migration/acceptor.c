#include "migration/acceptor.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "migration/arrivals.h"
#include "migration/greet.h"

/* The group must also have room for main, and for what is no connection. */
#define CONNECTIONS_MAX (CHANNEL_GROUP_MAX - 2)

/*
 * Waits until there are fewer than `most` connections. Dismisses those that have not said yet what
 * they are, the oldest first. False: there are no more of these, or the group has failed or is
 * closed.
 */
static bool make_room(struct acceptor *a, size_t most)
{
    pthread_mutex_lock(&a->group->lock);
    bool can = true;
    a->crowded = true;
    while (a->living >= most && can) {
        can = !a->group->failed && !a->group->closed && arrivals_dismiss_oldest(a);
        for (size_t before = a->living; can && a->living >= before;)
            channel_group_wait(a->group, DEADLINE_NEVER);
    }
    a->crowded = false;
    pthread_mutex_unlock(&a->group->lock);
    return can;
}

/* Accepts one connection. Where that fails for want of descriptors or memory, dismisses others
 * first. */
static int accept_one(struct acceptor *a, struct channel **ret, struct error *err)
{
    if (!make_room(a, CONNECTIONS_MAX))
        return err_set(err, ERR_PEER, "more than %d connections", CONNECTIONS_MAX);
    while (connect_accept(a->config.connect, &a->listener, a->group, ret, err) < 0) {
        bool scarce = err->sys == EMFILE || err->sys == ENFILE || err->sys == ENOBUFS;

        pthread_mutex_lock(&a->group->lock);
        size_t living = a->living;
        if (scarce && a->scarce.kind == ERR_NONE)
            a->scarce = *err;
        pthread_mutex_unlock(&a->group->lock);
        if (!scarce || !make_room(a, living))
            return -1;
    }
    return *ret ? greet_start(a, *ret, err) : 0;
}

static bool is_enough(struct acceptor *a)
{
    pthread_mutex_lock(&a->group->lock);
    bool enough = a->enough;
    pthread_mutex_unlock(&a->group->lock);
    return enough;
}

/* Accepts every connection that waits now, but no more than CONNECTIONS_MAX, because more may keep
 * coming. Any thread. */
static int accept_waiting(struct acceptor *a, struct error *err)
{
    struct channel *c = NULL;
    int rc = 0, n = 0;

    pthread_mutex_lock(&a->accept_lock);
    do {
        if (is_enough(a))
            break;
        rc = accept_one(a, &c, err);
    } while (rc == 0 && c && ++n < CONNECTIONS_MAX);
    pthread_mutex_unlock(&a->accept_lock);
    return rc;
}

/* --- the acceptor ---------------------------------------------------------------------------- */

/* Under the lock. The next deadline of a connection or of main. */
static uint64_t next_deadline(const struct acceptor *a)
{
    uint64_t next = a->settling ? DEADLINE_NEVER : a->main_deadline;

    for (const struct arrival *i = a->oldest; i; i = i->newer) {
        if (!i->dismissed && !i->known)
            next = MIN(next, i->deadline);
    }
    return next;
}

/*
 * Returns 1 when a connection waits, main is closed while acceptor_settle() runs, a deadline has
 * passed, or acceptor_wake() was called; 0 when the group is cancelled.
 */
static int sleep_a_while(struct acceptor *a, struct error *err)
{
    struct pollfd p[LISTENER_MAX + 3] = {{.fd = a->group->cancel.fd, .events = POLLIN},
                                         {.fd = a->wake, .events = POLLIN}};
    struct pollfd *main = &p[a->listener.n + 2];
    eventfd_t ignored;
    int n;

    pthread_mutex_lock(&a->group->lock);
    for (size_t i = 0; i < a->listener.n; i++)
        p[i + 2] = (struct pollfd){.fd = a->enough ? -1 : a->listener.fds[i], .events = POLLIN};
    uint64_t deadline = next_deadline(a);
    bool watched = a->settling && !a->main_over;
    *main = (struct pollfd){.fd = watched ? a->main->fd : -1, .events = POLLRDHUP};
    pthread_mutex_unlock(&a->group->lock);
    do {
        n = poll(p, a->listener.n + 3, deadline_poll_ms(deadline));
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, "wait for connections at %s", a->listener.text);
    if (p[1].revents)
        (void)!eventfd_read(a->wake, &ignored);
    if (main->revents) {
        pthread_mutex_lock(&a->group->lock);
        a->main_over = true;
        pthread_mutex_unlock(&a->group->lock);
    }
    return !p[0].revents;
}

/*
 * Dismisses connections that have run out of time before they said what they are; where main has,
 * fails. Called when all connections are accepted that came before main was closed.
 */
static int check_deadlines(struct acceptor *a, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    arrivals_dismiss_late(a);
    if (a->main_over && !a->left && !arrivals_await_channel(a, a->accepted)) {
        a->left = true;
        pthread_cond_broadcast(&a->group->changed);
    }
    if (a->main_deadline <= clock_ns() && !a->settling)
        rc = err_set_with(err, ERR_PEER, REMEDY_CONNECT_TIMEOUT,
                          "main channel: no list of RAM blocks within %.1f s",
                          (double)a->config.connect->connect_timeout_ms / 1000);
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

static void *acceptor_main(void *arg)
{
    struct acceptor *a = arg;
    struct error err;
    int rc;

    while ((rc = sleep_a_while(a, &err)) > 0) {
        if (accept_waiting(a, &err) < 0 || check_deadlines(a, &err) < 0) {
            rc = -1;
            break;
        }
    }
    if (rc < 0)
        channel_group_fail(a->group, &err);
    return NULL;
}

int acceptor_new(const struct acceptor_config *config, struct acceptor **ret, struct error *err)
{
    struct acceptor *a = calloc(1, sizeof(*a));

    if (!a)
        return err_sys(err, "memory for connections");
    a->config = *config;
    a->group = config->group;
    a->main_deadline = DEADLINE_NEVER;
    pthread_mutex_init(&a->accept_lock, NULL);
    a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->wake < 0) {
        err_sys(err, "eventfd for connections");
        acceptor_free(a);
        return -1;
    }
    if (connect_listen(config->connect, a->group, &a->listener, err) < 0) {
        acceptor_free(a);
        return -1;
    }
    *ret = a;
    return 0;
}

const char *acceptor_address(const struct acceptor *a)
{
    return a->listener.text;
}

int acceptor_start(struct acceptor *a, struct error *err)
{
    return thread_start(&a->acceptor, acceptor_main, a, err, "accept");
}

/* Under the lock. Adds what was refused or dropped: it may be what is missing now. */
static void name_stranger(const struct acceptor *a, struct error *err)
{
    if (a->n_refused > 0)
        err_add(err, "; refused meanwhile: %.200s", a->refused.text);
    if (a->scarce.kind != ERR_NONE)
        err_add(err, "; dropped meanwhile: %.250s", a->scarce.text);
}

/* A source connects main together with the channels: once one of them has come, the wait for main
 * has a limit. */
static uint64_t main_deadline(const struct acceptor *a, uint64_t before)
{
    bool now = before == DEADLINE_NEVER && (a->begun || !a->config.main_any_time);

    return now ? deadline_in_ms(a->config.connect->connect_timeout_ms) : before;
}

/* Under the lock. A source was there and has closed all its channels, and no connection is left
 * that could be main. */
static bool is_abandoned(const struct acceptor *a)
{
    return !a->oldest && recv_pool_is_abandoned(a->config.pool);
}

int acceptor_await_main(struct acceptor *a, struct channel **ret, struct error *err)
{
    uint64_t timeout_ms = a->config.connect->connect_timeout_ms, deadline = DEADLINE_NEVER;
    bool in_time = true;
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    while (!a->main && !a->group->failed && !is_abandoned(a) && in_time) {
        deadline = main_deadline(a, deadline);
        in_time = channel_group_wait(a->group, deadline);
    }
    if (a->group->failed) {
        name_stranger(a, &a->group->err);
        *err = a->group->err;
        rc = -1;
    } else if (!a->main && in_time) {
        rc = err_set(err, ERR_PEER,
                     "%s: multifd channels connected and were closed, but there is no main "
                     "connection",
                     a->listener.text);
        name_stranger(a, err);
    } else if (!a->main) {
        rc = err_set_with(err, ERR_PEER, REMEDY_CONNECT_TIMEOUT,
                          "%s: no main connection within %.1f s%s", a->listener.text,
                          (double)timeout_ms / 1000,
                          a->begun ? ", though multifd channels connected" : "");
        name_stranger(a, err);
    } else {
        *ret = a->main;
        a->main_taken = true;
    }
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

void acceptor_proven(struct acceptor *a)
{
    pthread_mutex_lock(&a->group->lock);
    a->main_deadline = DEADLINE_NEVER;
    pthread_mutex_unlock(&a->group->lock);
}

/*
 * Waits until every connection that may be a channel of the source has said so, or its time is
 * over. Does not wait where all channels that were agreed are there.
 */
static int await_greetings(struct acceptor *a, struct error *err)
{
    int rc = 0;

    pthread_mutex_lock(&a->group->lock);
    uint64_t newest = a->accepted;
    while (arrivals_await_channel(a, newest) && !a->group->failed &&
           !recv_pool_is_full(a->config.pool))
        channel_group_wait(a->group, DEADLINE_NEVER);
    if (a->group->failed) {
        *err = a->group->err;
        rc = -1;
    }
    pthread_mutex_unlock(&a->group->lock);
    return rc;
}

/* While acceptor_settle() runs main is not read: that time does not count for main's deadline. */
static void set_settling(struct acceptor *a, bool settling)
{
    pthread_mutex_lock(&a->group->lock);
    a->settling = settling;
    if (a->main_deadline != DEADLINE_NEVER)
        a->main_deadline = deadline_in_ms(a->config.connect->connect_timeout_ms);
    acceptor_wake(a); /* it watches main meanwhile */
    pthread_mutex_unlock(&a->group->lock);
}

static int settle(struct acceptor *a, struct error *err)
{
    if (accept_waiting(a, err) < 0 || await_greetings(a, err) < 0)
        return -1;
    if (recv_pool_complete(a->config.pool, false, &a->left, err) == 0)
        return 0;
    pthread_mutex_lock(&a->group->lock);
    name_stranger(a, err);
    pthread_mutex_unlock(&a->group->lock);
    return -1;
}

int acceptor_settle(struct acceptor *a, struct error *err)
{
    set_settling(a, true);
    int rc = settle(a, err);
    set_settling(a, false);
    return rc;
}

void acceptor_enough(struct acceptor *a)
{
    pthread_mutex_lock(&a->group->lock);
    a->enough = a->config.connect->listening != NULL;
    acceptor_wake(a);
    pthread_mutex_unlock(&a->group->lock);
}

int acceptor_check_complete(struct acceptor *a, bool expected, struct error *err)
{
    pthread_mutex_lock(&a->group->lock);
    bool doubtful = a->last_refused > a->main_number;
    pthread_mutex_unlock(&a->group->lock);
    if (!doubtful || recv_pool_check_numbers(a->config.pool, expected, err) == 0)
        return 0;
    pthread_mutex_lock(&a->group->lock);
    name_stranger(a, err);
    pthread_mutex_unlock(&a->group->lock);
    return -1;
}

void acceptor_end(struct acceptor *a)
{
    cancel_request(&a->group->cancel); /* ends the acceptor */
    thread_join(&a->acceptor);
    listener_done(&a->listener); /* closes the connections that have not been accepted */
    channel_group_close(a->group);
    pthread_mutex_lock(&a->group->lock);
    while (a->living > 0)
        channel_group_wait(a->group, DEADLINE_NEVER);
    pthread_mutex_unlock(&a->group->lock);
}

void acceptor_free(struct acceptor *a)
{
    if (!a)
        return;
    acceptor_end(a);
    if (!a->main_taken)
        channel_group_drop(a->group, a->main);
    pthread_mutex_destroy(&a->accept_lock);
    fd_close(&a->wake);
    free(a);
}
