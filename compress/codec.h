/*
 * compress/codec.h: compression methods for a packet's pages: bytes in, bytes out. Packets and
 * sockets are not known here.
 *
 * A method is a format on the wire; an implementation is a library that writes and reads it. zlib's
 * format has two, zlib and ISA-L's igzip: each unpacks what the other has packed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "compress/packer.h"

enum codec_method {
    CODEC_NONE,
    CODEC_ZLIB,
    CODEC_ZSTD,
    CODEC_QPL,
    CODEC_UADK,
    CODEC_QATZIP,
    CODEC_N,
};

/* The method's name on the command line and in QMP, also if it is not in this build. */
const char *codec_name(enum codec_method method);
/* Whether this build can use the method. True for CODEC_NONE, which needs no implementation. */
bool codec_built(enum codec_method method);
/* Why this build cannot use the method; NULL where it can. */
const char *codec_absence(enum codec_method method);
/* Writes the names of the methods of this build, "none, zlib or zstd", cut to `len`. */
void codec_list_built(char *ret, size_t len);

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
