/*
 * tls/tls_channel.h: a channel over a channel: what is sent on it travels encrypted on the one
 * below. Which scheme or engine that is, is not known here.
 *
 * One thread may send while another receives, as on any channel. bytes_sent and bytes_received
 * count what travels on the wire. A stall timeout that another thread sets holds from the next time
 * that bytes of the wire are waited for.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "tls/tls_creds.h"
#include "transport/channel.h"

/*
 * Does the handshake, by `deadline` (clock_ns() or DEADLINE_NEVER); the credentials know which side
 * we are. channel_interrupt(below) ends it from any thread.
 *
 * `below` belongs to the new channel on success, with its throttle, and stays the caller's on
 * failure: below->bytes_received tells whether the peer has said anything at all. Failures are
 * ERR_PEER, and whatever the channel below fails with.
 *
 * A client is done before a TLS 1.3 server has looked at its certificate: a refusal comes with the
 * first channel_sendv() or channel_recvv() that fails.
 */
MUST_USE int tls_channel_new(struct channel *below, const struct tls_creds *creds,
                             uint64_t deadline, struct channel **ret, struct error *err);

/*
 * Of this channel, beside what channel.h says:
 *
 * sendv     After a failure, CHANNEL_NOWAIT's included, no more can be sent.
 * recvv     The end by close_notify is the end of the stream. One without, between two records and
 *           with CHANNEL_MAY_IDLE, sets channel->cut; elsewhere it is an error.
 * finish    Says close_notify, closes the sending direction of the socket, and reads and discards
 *           until the peer closes, lest unread tickets make closing a reset that takes what the
 *           peer has not read yet. Where another thread receives, that one reads to the end. A peer
 *           that takes longer than the stall timeout, or has gone, is no failure: all was sent.
 * security  by_kernel (kTLS) is asked for by every client, for that is the side that sends pages.
 * The key then stays the same to the end, and a peer that demands another is refused. free Without
 * finish() the peer sees a cut.
 */
