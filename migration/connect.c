#include "migration/connect.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/thread.h"
#include "tls/tls_channel.h"
#include "transport/file_channel.h"

void connect_config_init(struct connect_config *ret)
{
    *ret = (struct connect_config){
        .engine = engine_standard(),
        .connect_timeout_ms = 30000,
        .stall_timeout_ms = 30000,
        .answer_timeout_ms = 300000,
    };
}

int connect_config_check(const struct connect_config *config, struct error *err)
{
    if (!config->engine)
        return err_set(err, ERR_USAGE, "no engine, expected one that moves the bytes");
    return 0;
}

static struct transport_config transport_of(const struct connect_config *config,
                                            struct channel_group *group)
{
    return (struct transport_config){
        .connect_timeout_ms = config->connect_timeout_ms,
        .stall_timeout_ms = config->stall_timeout_ms,
        .cancel = &group->cancel,
    };
}

static int channel_of(const struct connect_config *config, int fd, bool zero_copy,
                      struct channel_group *group, struct channel **ret, struct error *err)
{
    struct engine_config engine = {
        .stall_timeout_ms = config->stall_timeout_ms,
        .zero_copy = zero_copy,
    };
    struct channel *c;

    if (config->engine->open(fd, &engine, &c, err) < 0)
        return -1;
    if (channel_group_add(group, c, err) < 0) {
        channel_free(c);
        return -1;
    }
    *ret = c;
    return 0;
}

int connect_secure(const struct connect_config *config, struct channel_group *group,
                   struct channel **c, struct error *err)
{
    struct channel *below = *c, *secure;

    if (!config->tls)
        return 0;
    /* `below` is in the group: a thread that interrupts it ends the handshake. */
    if (tls_channel_new(below, config->tls, deadline_in_ms(config->connect_timeout_ms), &secure,
                        err) < 0)
        return -1;
    channel_group_remove(group, below);
    *c = secure;
    return channel_group_add(group, secure, err);
}

static int dial(const struct connect_config *config, bool zero_copy, struct channel_group *group,
                struct channel **ret, struct error *err)
{
    struct transport_config transport = transport_of(config, group);
    struct channel *c;
    int fd;

    if (transport_dial(&config->address, &transport, &fd, err) < 0 ||
        channel_of(config, fd, zero_copy, group, &c, err) < 0)
        return -1;
    if (connect_secure(config, group, &c, err) < 0) {
        channel_group_drop(group, c);
        return -1;
    }
    *ret = c;
    return 0;
}

int connect_dial(const struct connect_config *config, struct channel_group *group,
                 struct channel **ret, struct error *err)
{
    return dial(config, false, group, ret, err);
}

int connect_file(const struct connect_config *config, int fd, struct channel_group *group,
                 struct channel **ret, struct error *err)
{
    struct channel *c;

    if (file_channel_open(fd, config->address.offset, &c, err) < 0)
        return -1;
    if (channel_group_add(group, c, err) < 0) {
        channel_free(c);
        return -1;
    }
    *ret = c;
    return 0;
}

/* --- many at once ---------------------------------------------------------------------------- */

struct dialling {
    const struct connect_config *config;
    struct channel_group *group;
    const struct connect_greeting *greeting;
    uint64_t deadline; /* for all of them together */
    bool *failed;      /* shared by all, under the group's lock: one of them has failed */
    size_t id;
    struct channel *channel; /* NULL: it failed; the group has the error */
    struct thread thread;
};

/* Whether the destination may have ended the channel, and it is not a fault of this side. */
static bool is_peers_doing(const struct error *err)
{
    return err->kind == ERR_PEER || err->sys == ECONNREFUSED || err->sys == ECONNRESET ||
           err->sys == EPIPE || err->sys == ENOENT; /* a UNIX socket that has been removed */
}

/*
 * A destination that refuses us under TLS says so on main and closes everything. A channel may
 * notice the close first, and its failure would stop us from reading main. So we first wait for the
 * end of main. The migration is over in any case: we close main's sending direction, upon which the
 * destination closes the other, whether or not it had refused us. We wait for that as long as the
 * stall timeout, or until the connect timeout is over.
 */
static void hear_main_out(const struct dialling *d)
{
    int main = d->greeting->main->fd;
    uint64_t silence = deadline_in_ms(d->config->stall_timeout_ms);
    struct error ignored;

    shutdown(main, SHUT_WR);
    (void)!cancel_poll(&d->group->cancel, main, POLLRDHUP, MIN(d->deadline, silence), &ignored);
}

/* True for the first failure only: the others may be a result of what the first one does. */
static bool is_first_failure(const struct dialling *d)
{
    pthread_mutex_lock(&d->group->lock);
    bool first = !*d->failed;
    *d->failed = true;
    pthread_mutex_unlock(&d->group->lock);
    return first;
}

static void *dial_main(void *arg)
{
    struct dialling *d = arg;
    struct error err;

    if ((dial(d->config, d->config->zero_copy, d->group, &d->channel, &err) == 0 &&
         d->greeting->say(d->channel, d->greeting, d->id, &err) == 0) ||
        !is_first_failure(d))
        return NULL;
    err_in(&err, "channel %zu", d->id);
    if (d->config->tls && is_peers_doing(&err))
        hear_main_out(d);
    channel_group_fail(d->group, &err); /* the others need not go on */
    return NULL;
}

/* Returns how many threads were started. If not all were, the group has failed. */
static size_t start_dialling(struct dialling *all, size_t n, const struct dialling *each)
{
    struct error err;

    for (size_t i = 0; i < n; i++) {
        all[i] = *each;
        all[i].id = i;
        if (thread_start(&all[i].thread, dial_main, &all[i], &err, "dial-%zu", i) < 0) {
            channel_group_fail(each->group, &err);
            return i;
        }
    }
    return n;
}

int connect_dial_many(const struct connect_config *config, struct channel_group *group,
                      const struct connect_greeting *greeting, struct channel **ret, size_t n,
                      struct error *err)
{
    struct connect_config there = *config;
    bool failed = false;
    struct dialling each = {
        .config = &there,
        .group = group,
        .greeting = greeting,
        .deadline = deadline_in_ms(config->connect_timeout_ms),
        .failed = &failed,
    };
    struct dialling *all = calloc(n, sizeof(*all));

    if (!all)
        return err_sys(err, "memory for %zu connections", n);
    transport_pin(&there.address, greeting->main->fd); /* all go to main's address */
    size_t n_started = start_dialling(all, n, &each);
    for (size_t i = 0; i < n_started; i++)
        thread_join(&all[i].thread);
    int rc = channel_group_check(group, err);
    for (size_t i = 0; i < n_started; i++) {
        if (rc == 0)
            ret[i] = all[i].channel;
        else
            channel_group_drop(group, all[i].channel);
    }
    free(all);
    return rc;
}

/* --- the other end --------------------------------------------------------------------------- */

int connect_listen(const struct connect_config *config, struct channel_group *group,
                   struct listener *ret, struct error *err)
{
    struct transport_config transport = transport_of(config, group);

    if (config->listening)
        return listener_share(config->listening, ret, err);
    return transport_listen(&config->address, &transport, ret, err);
}

int connect_accept(const struct connect_config *config, struct listener *listener,
                   struct channel_group *group, struct channel **ret, struct error *err)
{
    struct transport_config transport = transport_of(config, group);
    int fd;

    *ret = NULL;
    if (listener_accept(listener, &transport, &fd, err) < 0)
        return -1;
    return fd < 0 ? 0 : channel_of(config, fd, false, group, ret, err);
}

void connect_path(const struct connect_config *config, const struct channel *c,
                  struct path_snapshot *ret)
{
    struct channel_security security = channel_security(c);

    ret->engine = config->engine->name;
    if (!security.version)
        return;
    snprintf(ret->tls, sizeof(ret->tls), "%s %s", security.version, security.cipher);
    ret->ktls_send = security.by_kernel;
}

void connect_thread_done(void)
{
    tls_thread_done();
}
