/*
 * compress/codec.h: compression methods for a packet's pages: bytes in, bytes out. Packets and
 * sockets are not known here.
 *
 * A method is a format on the wire; an implementation is a library that writes and reads it. zlib's
 * format has two, zlib and ISA-L's igzip: each unpacks what the other has packed.
 *
 * A packer or unpacker belongs to one channel for the channel's life: packed bytes may refer to
 * earlier ones. One thread at a time may use it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

enum codec_method {
    CODEC_NONE,
    CODEC_ZLIB,
    CODEC_ZSTD,
    CODEC_QPL,
    CODEC_UADK,
    CODEC_QATZIP,
    CODEC_N,
};

#define CODEC_INPUT_MAX  (512 * 1024)  /* bytes in one call */
#define CODEC_PACKED_MAX (1024 * 1024) /* packed bytes of one call: QEMU's limit */

/* The method's name on the command line and in QMP, also if it is not in this build. */
const char *codec_name(enum codec_method method);
/* Whether this build can use the method. True for CODEC_NONE, which needs no implementation. */
bool codec_built(enum codec_method method);
/* Why this build cannot use the method; NULL where it can. */
const char *codec_absence(enum codec_method method);
/* Writes the names of the methods of this build, "none, zlib or zstd", cut to `len`. */
void codec_list_built(char *ret, size_t len);

struct packer;
struct unpacker;

/* One implementation. */
struct codec_ops {
    const char *name;
    enum codec_method method;
    int level_min, level_max; /* the levels at which it packs; it unpacks any level */
    bool (*worth_it)(void);   /* whether to use it on this CPU; NULL: always. First row only. */
    int (*packer_new)(int level, struct packer **ret, struct error *err);
    int (*unpacker_new)(struct unpacker **ret, struct error *err);
};

/* The *ret_n implementations to use on this CPU; for each method, the best one comes first. */
const struct codec_ops *const *codec_implementations(size_t *ret_n);
/* The best one that packs the method at this level, or NULL. */
const struct codec_ops *codec_packing(enum codec_method method, int level);
/* The best one that unpacks the method, or NULL. */
const struct codec_ops *codec_unpacking(enum codec_method method);

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
