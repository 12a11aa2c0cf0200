#include "transport/resolve.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/thread.h"

/* A monitor's client may ask again and again, but must not fill the process with threads. */
#define LOOKUPS_MAX 64

static atomic_uint n_lookups; /* under way, abandoned ones included */

/* One look-up: its request and its result. */
struct lookup {
    /* Set before the thread starts, read-only after. */
    char host[sizeof(((struct address *)0)->host)], port[sizeof(((struct address *)0)->port)];
    struct addrinfo hints;
    struct thread thread; /* for the start only: the thread is detached */

    /* The thread's until `finished`, then the caller's. */
    int rc, sys; /* getaddrinfo()'s result, and errno */
    struct addrinfo *list;

    /* Both's. */
    atomic_bool finished;
    int wake;           /* an eventfd, readable once it has finished */
    atomic_uint owners; /* the caller and the thread: the last to release it frees it */
};

static void lookup_release(struct lookup *l)
{
    if (atomic_fetch_sub(&l->owners, 1) != 1)
        return;
    if (l->list)
        freeaddrinfo(l->list);
    fd_close(&l->wake);
    free(l);
}

static int look_up(const char *host, const char *port, const struct addrinfo *hints,
                   struct addrinfo **ret, int *ret_sys)
{
    int rc = getaddrinfo(host[0] ? host : NULL, port, hints, ret);

    *ret_sys = errno;
    return rc;
}

static void *lookup_main(void *arg)
{
    struct lookup *l = arg;

    l->rc = look_up(l->host, l->port, &l->hints, &l->list, &l->sys);
    atomic_store(&l->finished, true);
    (void)!eventfd_write(l->wake, 1);
    atomic_fetch_sub(&n_lookups, 1);
    lookup_release(l);
    return NULL;
}

static struct lookup *lookup_new(const struct address *a, const struct addrinfo *hints,
                                 struct error *err)
{
    struct lookup *l = calloc(1, sizeof(*l));

    if (!l) {
        err_sys(err, "memory");
        return NULL;
    }
    strcpy(l->host, a->host);
    strcpy(l->port, a->port);
    l->hints = *hints;
    atomic_store(&l->owners, 1);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake < 0) {
        err_sys(err, "eventfd");
        lookup_release(l);
        return NULL;
    }
    return l;
}

/* Starts the thread, unless too many look-ups have had no answer yet. */
static int start(struct lookup *l, struct error *err)
{
    if (atomic_fetch_add(&n_lookups, 1) >= LOOKUPS_MAX) {
        atomic_fetch_sub(&n_lookups, 1);
        return err_set(err, ERR_SYSTEM,
                       "%d look-ups of names are under way, the name server is silent",
                       LOOKUPS_MAX);
    }
    atomic_store(&l->owners, 2);
    if (thread_start_detached(&l->thread, lookup_main, l, err, "lookup") == 0)
        return 0;
    atomic_fetch_sub(&n_lookups, 1);
    atomic_store(&l->owners, 1);
    return -1;
}

/* Waits until the look-up has finished. After the deadline or a cancel the thread goes on alone. */
static int lookup_run(struct lookup *l, uint64_t deadline, const struct cancel *cancel,
                      struct error *err)
{
    if (start(l, err) < 0)
        return -1;
    do {
        if (cancel_poll(cancel, l->wake, POLLIN, deadline, err) < 0)
            return -1;
    } while (!atomic_load(&l->finished));
    return 0;
}

/* The error for getaddrinfo()'s result `rc`. */
static int failed(const struct address *a, int rc, int sys, struct error *err)
{
    const char *zone = strchr(a->host, '%');

    errno = sys;
    if (rc == EAI_SYSTEM)
        return err_sys(err, "look up %s", a->text);
    if (rc == EAI_NONAME && zone)
        return err_set(err, ERR_SYSTEM, "look up %s: there is no interface '%s' here", a->text,
                       zone + 1);
    return err_set(err, ERR_SYSTEM, "look up %s: %s", a->text, gai_strerror(rc));
}

/* Whether the host or the port is a name, after they failed as numbers; then `hints` allow names.
 * A host with a colon is not a name. */
static bool needs_lookup(const struct address *a, int rc, struct addrinfo *hints)
{
    if (rc != EAI_NONAME)
        return false;
    bool named_port = a->port[strspn(a->port, "0123456789")];
    bool named_host = a->host[0] && !strchr(a->host, ':');
    hints->ai_flags &= ~AI_NUMERICSERV & ~(named_host ? AI_NUMERICHOST : 0);
    return named_port || named_host;
}

int resolve(const struct address *a, int flags, uint64_t deadline, const struct cancel *cancel,
            struct addrinfo **ret, struct error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = flags | AI_NUMERICHOST | AI_NUMERICSERV};
    int sys, rc = look_up(a->host, a->port, &hints, ret, &sys);

    if (!needs_lookup(a, rc, &hints))
        return rc == 0 ? 0 : failed(a, rc, sys, err);
    struct lookup *l = lookup_new(a, &hints, err);
    if (!l)
        return err_in(err, "look up %s", a->text);
    if (lookup_run(l, deadline, cancel, err) < 0) {
        lookup_release(l);
        return err_in(err, "look up %s", a->text);
    }
    rc = l->rc == 0 ? 0 : failed(a, l->rc, l->sys, err);
    if (rc == 0) {
        *ret = l->list;
        l->list = NULL;
    }
    lookup_release(l);
    return rc;
}
