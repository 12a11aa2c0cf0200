/*
 * migration/connect.h: address + engine + TLS → channels: the only file that knows them all.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "migration/stats.h"
#include "tls/tls_creds.h"
#include "transport/channel_group.h"
#include "transport/engine.h"
#include "transport/transport.h"

struct connect_config {
    struct address address;
    const struct engine *engine;
    const struct tls_creds *tls; /* NULL: none; must outlive the channels */
    bool zero_copy;              /* on the channels of connect_dial_many() */
    uint64_t connect_timeout_ms; /* 0 = no limit */
    uint64_t stall_timeout_ms;   /* 0 = no limit */
    uint64_t answer_timeout_ms;  /* for what one end asks and the other answers; 0 = no limit */
};

/* The first engine, and how long one waits by default. The address is the caller's to say. */
void connect_config_init(struct connect_config *ret);
/* ERR_USAGE where what is needed is missing. */
MUST_USE int connect_config_check(const struct connect_config *config, struct error *err);

/* Dials once; the channel is in the group and belongs to the caller. */
MUST_USE int connect_dial(const struct connect_config *config, struct channel_group *group,
                          struct channel **ret, struct error *err);
/* A file, from the address's offset on, as a channel that is in the group. The descriptor stays the
 * caller's. */
MUST_USE int connect_file(const struct connect_config *config, int fd, struct channel_group *group,
                          struct channel **ret, struct error *err);
/* What each of many channels says first. Called by any thread. */
struct connect_greeting {
    int (*say)(struct channel *c, const struct connect_greeting *greeting, size_t id,
               struct error *err);
    const struct channel *main; /* where a destination says that it will not have us */
};
/*
 * Dials `n` channels for pages, all at the same time, and greets on each as soon as it is there: a
 * QEMU that has accepted one does nothing else until it has read its greeting. All go to the
 * address that main has reached, whatever others its name has. ret[0 … n) are the
 * caller's, or none of them when it fails: then the group has failed, too.
 */
MUST_USE int connect_dial_many(const struct connect_config *config, struct channel_group *group,
                               const struct connect_greeting *greeting, struct channel **ret,
                               size_t n, struct error *err);
/* Listens at the address; the group's cancel ends the wait for a name's. */
MUST_USE int connect_listen(const struct connect_config *config, struct channel_group *group,
                            struct listener *ret, struct error *err);
/*
 * Makes a channel of one waiting connection; *ret is NULL where there is none. Nothing has been
 * received: connect_secure() comes first.
 */
MUST_USE int connect_accept(const struct connect_config *config, struct listener *listener,
                            struct channel_group *group, struct channel **ret, struct error *err);
/*
 * Where there is TLS, shakes hands and puts it around *c, as which the channel is in the group
 * then. When it fails *c stays as it was.
 */
MUST_USE int connect_secure(const struct connect_config *config, struct channel_group *group,
                            struct channel **c, struct error *err);
/* How bytes travel on a channel that was made here; the method is not known here. */
void connect_path(const struct connect_config *config, const struct channel *c,
                  struct path_snapshot *ret);
/* The last of a thread that made channels and is not joined, before it says that it is done. */
void connect_thread_done(void);
