/*
 * compress/codec_object.h: what the implementations share; for compress/ only.
 */
#pragma once

#include "compress/codec.h"

/* Bytes after every buffer that we give to a library: some versions are known to read or write a
 * little past the end. */
#define CODEC_SLACK 4096

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

size_t codec_total(const struct iovec *iov, size_t n);
/* Copies one buffer into several pieces; `from` has as many bytes as all of them together. */
void codec_scatter(const uint8_t *from, const struct iovec *iov, size_t n);

/* The errors for packed bytes that unpack to less, or to more, than the packet says. */
int codec_too_little(size_t found, size_t expected, struct error *err);
int codec_too_much(size_t expected, struct error *err);
