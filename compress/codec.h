/*
 * compress/codec.h: methods that a packet's pages are packed with: bytes in, bytes out. Packets and
 * sockets are not known here.
 *
 * A method is a format on the wire; an implementation is a library that writes and reads it. zlib's
 * format has two, zlib and ISA-L's igzip: each unpacks what the other has packed.
 *
 * Packers and unpackers belong to one channel for its life: what they pack may refer back to what
 * they packed before. They are one thread's at a time.
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
#define CODEC_PACKED_MAX (1024 * 1024) /* bytes that those may become: QEMU's limit */

/* The method's name on the command line and in QMP, for any of them. */
const char *codec_name(enum codec_method method);
/* Whether this build packs and unpacks it. CODEC_NONE has nothing to do, and is not one. */
bool codec_built(enum codec_method method);

struct packer;
struct unpacker;

/* One implementation. */
struct codec_ops {
    const char *name;
    enum codec_method method;
    int level_min, level_max; /* at which it packs; it unpacks whatever the level was */
    bool (*worth_it)(void);   /* on this CPU; NULL: on any. For the first row only. */
    int (*packer_new)(int level, struct packer **ret, struct error *err);
    int (*unpacker_new)(struct unpacker **ret, struct error *err);
};

/* The implementations that work on this CPU, the best of a method first; *ret_n of them. */
const struct codec_ops *const *codec_implementations(size_t *ret_n);
/* The best one that packs the method at this level, or NULL. */
const struct codec_ops *codec_packing(enum codec_method method, int level);
/* The best one that unpacks the method, or NULL. */
const struct codec_ops *codec_unpacking(enum codec_method method);

/*
 * Where to put what is to be packed: CODEC_INPUT_MAX bytes. Memory that somebody may write
 * meanwhile must be copied for that, and why not here: deflate does not forgive input that changes.
 */
uint8_t *packer_input(struct packer *p);
/*
 * Packs 1 … CODEC_INPUT_MAX bytes of its input so that they can be unpacked from what comes out and
 * what came out before. *ret is the packer's, until the next call: at most CODEC_PACKED_MAX bytes.
 */
MUST_USE int packer_pack(struct packer *p, size_t len, const uint8_t **ret, size_t *ret_len,
                         struct error *err);
void packer_free(struct packer *p);

/* Where to put what is to be unpacked: CODEC_PACKED_MAX bytes. */
uint8_t *unpacker_input(struct unpacker *u);
/*
 * Unpacks `len` bytes of its input, which may come from anyone, into exactly all of iov, at most
 * CODEC_INPUT_MAX bytes: what gives less or more is ERR_PEER. Behind an error neither iov nor the
 * unpacker is fit for anything.
 */
MUST_USE int unpacker_unpack(struct unpacker *u, size_t len, const struct iovec *iov, size_t n,
                             struct error *err);
void unpacker_free(struct unpacker *u);
