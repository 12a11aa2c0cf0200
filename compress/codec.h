/*
 * compress/codec.h: methods that a packet's pages can be packed with: bytes in, bytes out. Packets
 * and sockets are not known here.
 */
#pragma once

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

/* By name, "METHOD[:LEVEL]". ERR_USAGE where it is unknown, or known and not built, which it says.
 */
MUST_USE int codec_find(const char *name, enum codec_method *ret, struct error *err);
const char *codec_name(enum codec_method method);
