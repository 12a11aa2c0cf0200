/*
 * compress/codec_object.h: what the implementations share; for compress/ only.
 */
#pragma once

#include "compress/codec.h"

/* Behind every buffer that a library is given: versions are known that read and write somewhat past
 * the end. */
#define CODEC_SLACK 4096

struct packer {
    uint8_t *in; /* CODEC_INPUT_MAX bytes, and slack */
    int (*pack)(struct packer *p, size_t len, const uint8_t **ret, size_t *ret_len,
                struct error *err);
    void (*free)(struct packer *p);
};

struct unpacker {
    uint8_t *in; /* CODEC_PACKED_MAX bytes, and slack */
    int (*unpack)(struct unpacker *u, size_t len, const struct iovec *iov, size_t n,
                  struct error *err);
    void (*free)(struct unpacker *u);
};

size_t codec_total(const struct iovec *iov, size_t n);
/* From one piece into several; `from` holds as much as they do. */
void codec_scatter(const uint8_t *from, const struct iovec *iov, size_t n);

/* The two ways in which packed bytes can be of another size than the packet says. */
int codec_too_little(size_t found, size_t expected, struct error *err);
int codec_too_much(size_t expected, struct error *err);
