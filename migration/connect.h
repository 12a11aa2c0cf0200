/*
 * migration/connect.h: makes channels from address, engine and TLS. Only this file knows them all.
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
    /* A destination's: connections come here instead. It belongs to the caller, who takes one
     * migration after the other from it; NULL: listen at the address. */
    const struct listener *listening;
    const struct engine *engine;
    const struct tls_creds *tls; /* NULL: none; must outlive the channels */
    bool zero_copy;              /* send without copying on the channels of connect_dial_many() */
    uint64_t connect_timeout_ms; /* 0 = no limit */
    uint64_t stall_timeout_ms;   /* 0 = no limit */
    uint64_t answer_timeout_ms;  /* for an answer of the other end; 0 = no limit */
};

/* Sets the standard engine and the default timeouts. The caller sets the address. */
void connect_config_init(struct connect_config *ret);
/* ERR_USAGE where something that is needed is missing. */
MUST_USE int connect_config_check(const struct connect_config *config, struct error *err);

/* Dials once; the channel is in the group and belongs to the caller. */
MUST_USE int connect_dial(const struct connect_config *config, struct channel_group *group,
                          struct channel **ret, struct error *err);
/* Makes a channel of a file, from the address's offset on, and adds it to the group. The descriptor
 * stays the caller's. */
MUST_USE int connect_file(const struct connect_config *config, int fd, struct channel_group *group,
                          struct channel **ret, struct error *err);
/* What is sent first on each of many channels. say() is called by any thread. */
struct connect_greeting {
    int (*say)(struct channel *c, const struct connect_greeting *greeting, size_t id,
               struct error *err);
    const struct channel *main; /* here a destination says that it refuses us */
};
/*
 * Dials `n` channels for pages, all at the same time, and greets on each as soon as it is
 * connected: a QEMU that has accepted a connection does nothing else until it has read the
 * greeting. All of them go to the address that main has reached, even if main's host name has
 * others. On success ret[0 … n) belong to the caller; on failure none of them does, and the group
 * has failed, too.
 */
MUST_USE int connect_dial_many(const struct connect_config *config, struct channel_group *group,
                               const struct connect_greeting *greeting, struct channel **ret,
                               size_t n, struct error *err);
/* Listens at the address. A cancel of the group ends the wait for a name's address. */
MUST_USE int connect_listen(const struct connect_config *config, struct channel_group *group,
                            struct listener *ret, struct error *err);
/*
 * Makes a channel of one waiting connection; *ret is NULL where none waits. Nothing has been
 * received on it yet: call connect_secure() first.
 */
MUST_USE int connect_accept(const struct connect_config *config, struct listener *listener,
                            struct channel_group *group, struct channel **ret, struct error *err);
/*
 * With TLS: shakes hands, and puts a TLS channel in the place of *c, also in the group. When the
 * handshake fails *c stays as it was.
 */
MUST_USE int connect_secure(const struct connect_config *config, struct channel_group *group,
                            struct channel **c, struct error *err);
/* Says how bytes travel on a channel that was made here. The compression method is not known
 * here. */
void connect_path(const struct connect_config *config, const struct channel *c,
                  struct path_snapshot *ret);
/* The last call of a thread that made channels and that nobody joins, before it says that it is
 * done. */
void connect_thread_done(void);
