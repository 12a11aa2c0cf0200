/*
 * tls/tls_channel.h: a channel on top of another: what is sent on it travels encrypted on the
 * channel below, which may be of any scheme and engine.
 *
 * One thread may send while another receives, as on any channel. bytes_sent and bytes_received
 * count encrypted bytes. A stall timeout that another thread sets takes effect at the next wait for
 * the peer.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "tls/tls_creds.h"
#include "transport/channel.h"

/*
 * Does the handshake, until `deadline` at most (of clock_ns(), or DEADLINE_NEVER). The credentials
 * say which side we are. channel_interrupt(below) ends the handshake from any thread.
 *
 * On success `below` belongs to the new channel, with its throttle. On failure it stays the
 * caller's: below->bytes_received tells whether the peer has sent anything at all. Errors are
 * ERR_PEER, or those of the channel below.
 *
 * With TLS 1.3 a client's handshake ends before the server has checked the client's certificate: if
 * the server refuses it, a later channel_sendv() or channel_recvv() fails.
 */
MUST_USE int tls_channel_new(struct channel *below, const struct tls_creds *creds,
                             uint64_t deadline, struct channel **ret, struct error *err);

/*
 * What this channel does beside what channel.h says:
 *
 * sendv     After a failure, also with CHANNEL_NOWAIT, no more can be sent.
 * recvv     The peer's close_notify is the end of the stream. An end without it sets channel->cut
 *           if it comes between two records and with CHANNEL_MAY_IDLE; else it is an error.
 * finish    Sends close_notify, closes the sending direction of the socket, then reads and discards
 *           until the peer closes: closing with unread tickets would reset the connection, and the
 *           peer would lose what it has not read yet. If another thread receives, that thread reads
 *           to the end. It is no failure if the peer takes longer than the stall timeout, or has
 *           gone: all was sent.
 * security  Every client asks for by_kernel (kTLS), because the client is the side that sends
 *           pages. With kTLS the key never changes, and a peer that demands a new one is refused.
 * free      Without finish() before, the peer sees a cut.
 */
