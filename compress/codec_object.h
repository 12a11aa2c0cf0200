/*
 * compress/codec_object.h: what the implementations share; for compress/ only.
 */
#pragma once

#include "compress/codec.h"

size_t codec_total(const struct iovec *iov, size_t n);
/* Copies one buffer into several pieces; `from` has as many bytes as all of them together. */
void codec_scatter(const uint8_t *from, const struct iovec *iov, size_t n);

/* The errors for packed bytes that unpack to less, or to more, than the packet says. */
int codec_too_little(size_t found, size_t expected, struct error *err);
int codec_too_much(size_t expected, struct error *err);
