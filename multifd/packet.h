/*
 * multifd/packet.h: the byte layout of what travels on a multifd channel. No I/O, no threads.
 * Format: QEMU, migration/multifd.h and multifd.c; all integers big-endian. We restate it, the
 * golden bytes in tests/golden/ decide.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "compress/codec.h"
#include "ram/block.h"

#define MULTIFD_MAGIC   0x11223344U
#define MULTIFD_VERSION 1U

#define MULTIFD_HELLO_LEN   64   /* bytes, once per channel */
#define MULTIFD_PREFIX_LEN  12   /* magic, version, flags: enough to know the packet's kind */
#define MULTIFD_PACKET_LEN  1344 /* bytes, however many pages the packet lists */
#define MULTIFD_PAGES       128  /* offsets in a packet */
#define MULTIFD_PAYLOAD_MAX (MULTIFD_PAGES * RAM_PAGE_SIZE) /* bytes, before packing */
_Static_assert(MULTIFD_PAYLOAD_MAX == CODEC_INPUT_MAX, "a packet is packed in one call");

#define MULTIFD_CHANNELS_MAX 255

/* Flags. Bits that are not named here are ignored, as in QEMU. */
#define MULTIFD_SYNC         0x01U
#define MULTIFD_METHODS      0x3eU
#define MULTIFD_DEVICE_STATE 0x40U

struct multifd_hello {
    struct uuid uuid; /* of the VM; all zero if it has none */
    uint8_t id;
};

struct multifd_packet {
    bool sync;
    enum codec_method method;
    uint32_t n_normal, n_zero; /* together ≤ MULTIFD_PAGES */
    uint32_t payload_bytes;    /* as the packet says; meaningless without normal pages */
    uint64_t number;           /* informational */
    char block[RAM_BLOCK_NAME];
    uint64_t offsets[MULTIFD_PAGES]; /* bytes in the block: normal pages, then zero pages */
};

void multifd_hello_encode(const struct multifd_hello *hello, uint8_t out[static MULTIFD_HELLO_LEN]);
/*
 * Reads a hello from `in`, which may come from anyone.
 * Fails with ERR_PEER on another magic or version, leaving *ret as it was. The caller must check
 * the channel number: only it knows how many channels were agreed.
 */
MUST_USE int multifd_hello_decode(const uint8_t in[static MULTIFD_HELLO_LEN],
                                  struct multifd_hello *ret, struct error *err);

void multifd_packet_encode(const struct multifd_packet *p, uint8_t out[static MULTIFD_PACKET_LEN]);
/*
 * Checks the first bytes of a packet, before the rest has come: other kinds of packet are shorter.
 */
MUST_USE int multifd_prefix_check(const uint8_t in[static MULTIFD_PREFIX_LEN], struct error *err);
/*
 * Reads a packet whose prefix was checked. Checks the counts and the name's terminator; the caller
 * must find the block, and check the offsets with ram_span().
 */
MUST_USE int multifd_packet_decode(const uint8_t in[static MULTIFD_PACKET_LEN],
                                   struct multifd_packet *ret, struct error *err);
