/*
 * compress/packer.h: objects that pack and unpack bytes, whatever their method; codec.h makes them.
 *
 * A packer or unpacker belongs to one channel for the channel's life: packed bytes may refer to
 * earlier ones. One thread at a time may use it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

#define CODEC_INPUT_MAX  (512 * 1024)  /* bytes in one call */
#define CODEC_PACKED_MAX (1024 * 1024) /* packed bytes of one call: QEMU's limit */

/* Bytes after every buffer that we give to a library: some versions are known to read or write a
 * little past the end. */
#define CODEC_SLACK 4096

/* Each implementation embeds these two; their users call the functions below. */
struct packer {
    uint8_t *in; /* CODEC_INPUT_MAX bytes, then CODEC_SLACK */
    int (*pack)(struct packer *p, size_t len, const uint8_t **ret, size_t *ret_len,
                struct error *err);
    void (*free)(struct packer *p);
};

struct unpacker {
    uint8_t *in; /* CODEC_PACKED_MAX bytes, then CODEC_SLACK */
    int (*unpack)(struct unpacker *u, size_t len, const struct iovec *iov, size_t n,
                  struct error *err);
    void (*free)(struct unpacker *u);
};

/*
 * The buffer for bytes to pack: CODEC_INPUT_MAX bytes. The caller copies them there because a guest
 * may write its memory at any time, and deflate's input must not change.
 */
uint8_t *packer_input(struct packer *p);
/*
 * Packs 1 … CODEC_INPUT_MAX bytes of the buffer. The output, together with all earlier output, is
 * enough to unpack them. *ret is at most CODEC_PACKED_MAX bytes; it belongs to the packer and is
 * valid until the next call.
 */
MUST_USE int packer_pack(struct packer *p, size_t len, const uint8_t **ret, size_t *ret_len,
                         struct error *err);
void packer_free(struct packer *p);

/* The buffer for bytes to unpack: CODEC_PACKED_MAX bytes. */
uint8_t *unpacker_input(struct unpacker *u);
/*
 * Unpacks `len` bytes of the buffer, which are not trusted. They must fill iov exactly, which is at
 * most CODEC_INPUT_MAX bytes; less or more is ERR_PEER. After an error the contents of iov are
 * undefined, and the unpacker must not be used again.
 */
MUST_USE int unpacker_unpack(struct unpacker *u, size_t len, const struct iovec *iov, size_t n,
                             struct error *err);
void unpacker_free(struct unpacker *u);
