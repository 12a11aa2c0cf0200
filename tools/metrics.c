#include "tools/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/cancel.h"
#include "tools/activation.h"
#include "tools/line.h"
#include "tools/metrics_file.h"
#include "tools/metrics_server.h"
#include "tools/metrics_text.h"
#include "tools/notice.h"
#include "tools/remedy.h"
#include "transport/transport.h"

static struct {
    const char *verb; /* NULL: no metrics are open */
    struct metrics_server *server;
    struct metrics_file *file; /* one of these two */

    /* Held while read() runs, so that metrics_unwatch() can wait for its end; and for `last`. */
    pthread_mutex_t reading;
    void (*read)(void *arg, struct migration_snapshot *ret);
    void *arg;
    struct metrics shown;

    _Atomic uint64_t ended[MIGRATION_STATUS_N];
} metrics = {.reading = PTHREAD_MUTEX_INITIALIZER};

/* With the lock. A reader that has seen no migration yet leaves the figures of the last one. */
static void look(void)
{
    static struct migration_snapshot now;

    if (!metrics.read)
        return;
    metrics.read(metrics.arg, &now);
    if (now.status != MIGRATION_NONE)
        metrics.shown.now = now;
}

static int write_text(struct buf *to, struct error *err)
{
    struct metrics *m = &metrics.shown;

    pthread_mutex_lock(&metrics.reading);
    look();
    m->completed = atomic_load(&metrics.ended[MIGRATION_COMPLETED]);
    m->failed = atomic_load(&metrics.ended[MIGRATION_FAILED]);
    m->cancelled = atomic_load(&metrics.ended[MIGRATION_CANCELLED]);
    int rc = metrics_text(m, to, err);
    pthread_mutex_unlock(&metrics.reading);
    return rc;
}

/* Looking up a host's name may take long: so it has a limit, as no signal ends it yet. */
#define LOOKUP_MS 10000

static int open_listener(const char *where, struct listener *ret, struct error *err)
{
    struct address at;
    struct cancel never;

    if (activation_is_address(where))
        return activation_listen(where, ret, err);
    if (address_parse(where, &at, err) < 0 || cancel_init(&never, err) < 0)
        return -1;
    const struct transport_config config = {.connect_timeout_ms = LOOKUP_MS, .cancel = &never};
    int rc = transport_listen(&at, &config, ret, err);
    cancel_done(&never);
    return rc;
}

static int open_server(const char *where, struct error *err)
{
    struct listener listener;
    char text[sizeof(listener.text)];

    if (open_listener(where, &listener, err) < 0)
        return -1;
    strcpy(text, listener.text);
    if (metrics_server_start(&listener, write_text, &metrics.server, err) < 0)
        return -1;
    notice("metrics at %s", text);
    return 0;
}

#define FILE_PREFIX "file:"

int metrics_open(const char *where, const char *verb, struct error *err)
{
    if (!where)
        return 0;
    metrics.shown.verb = verb;
    metrics.shown.version = RAMJET_VERSION;
    metrics.shown.now.path.method = -1;
    metrics.shown.now.expected_downtime_ms = UINT64_MAX;
    int rc = strncmp(where, FILE_PREFIX, strlen(FILE_PREFIX)) == 0
                 ? metrics_file_start(where + strlen(FILE_PREFIX), write_text, &metrics.file, err)
                 : open_server(where, err);
    if (rc < 0)
        return err_in(err, "--metrics");
    metrics.verb = verb;
    return 0;
}

void metrics_watch(void (*read)(void *arg, struct migration_snapshot *ret), void *arg)
{
    pthread_mutex_lock(&metrics.reading);
    metrics.read = read;
    metrics.arg = arg;
    pthread_mutex_unlock(&metrics.reading);
}

void metrics_unwatch(bool keep)
{
    pthread_mutex_lock(&metrics.reading);
    if (keep)
        look();
    metrics.read = NULL;
    pthread_mutex_unlock(&metrics.reading);
}

void metrics_show(const struct migration_snapshot *now)
{
    pthread_mutex_lock(&metrics.reading);
    metrics.shown.now = *now;
    pthread_mutex_unlock(&metrics.reading);
}

void metrics_ended(enum migration_status status)
{
    atomic_fetch_add(&metrics.ended[status], 1);
}

void metrics_close(void)
{
    char line[ERR_LINE_LEN];
    struct error err;

    metrics_server_stop(metrics.server);
    if (metrics_file_stop(metrics.file, &err) < 0) {
        error_line(&err, line);
        line_print(stderr, "ramjet %s: metrics: %s", metrics.verb, line);
    }
    metrics.server = NULL;
    metrics.file = NULL;
    metrics.verb = NULL;
}
