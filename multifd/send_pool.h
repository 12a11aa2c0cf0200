/*
 * multifd/send_pool.h: a page_sink over N channels, a thread each.
 *
 * No thread distributes a round's work: every thread claims the next stripe, finds its dirty pages
 * and the zero pages among them, makes packets and sends them. The round ends with the format's
 * barrier, a SYNC on each channel.
 */
#pragma once

#include "base/cpus.h"
#include "base/uuid.h"
#include "multifd/packet.h"
#include "ram/page_sink.h"
#include "transport/channel_group.h"

struct send_pool_config {
    struct channel_group *group;
    enum codec_method method;
    int level;                       /* of the method; not used with none */
    const struct cpu_places *places; /* where the threads run, in turn; NULL: anywhere */
    bool zeros_on_main;              /* zero pages go to round->zeros instead of into packets */
    struct channel **channels;       /* greeted, in order of their ids; they become the pool's */
    size_t n;                        /* 1 … MULTIFD_CHANNELS_MAX */
};

/* Sends a channel's hello: which VM it belongs to, and which of the VM's channels it is. */
MUST_USE int send_pool_greet(struct channel *c, const struct uuid *uuid, size_t id,
                             struct error *err);
/*
 * Starts the threads. Takes the channels, also when it fails.
 * The sink fails as a whole: an error of one thread becomes the group's and ends all of them.
 */
MUST_USE int send_pool_new(const struct send_pool_config *config, struct page_sink **ret,
                           struct error *err);
