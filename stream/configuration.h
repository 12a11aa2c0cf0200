/*
 * stream/configuration.h: the start of a stream: the machine's name, and which of the capabilities
 * that change the stream are on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "stream/stream_in.h"
#include "stream/stream_out.h"

#define MACHINE_NAME_MAX 127

/* The capabilities that QEMU checks in the stream. */
enum {
    STREAM_CAP_X_IGNORE_SHARED = 1 << 0,
    STREAM_CAP_MAPPED_RAM = 1 << 1,
};

/* Bytes: more than the header, the configuration with all subsections, and a section's header. */
#define STREAM_HEAD_MAX 1024

struct configuration {
    char machine[MACHINE_NAME_MAX + 1]; /* the versioned name: "pc-q35-10.0"; its version decides
                                         * the dialect (migration/dialect.h) */
    uint32_t capabilities;              /* STREAM_CAP_… */
    uint32_t page_bits;                 /* 0: not in the stream; the architecture's default */
    bool has_uuid;
    struct uuid uuid;
};

/* Writes the stream's header and the configuration. */
void configuration_out(struct stream_out *out, const struct configuration *c);
/* Reads both. A failure, also an unknown capability or subsection, makes `in` fail. */
void configuration_in(struct stream_in *in, struct configuration *ret);

/* ERR_PEER if other capabilities are on than these; those in `open` are not compared. */
MUST_USE int configuration_expect(const struct configuration *c, uint32_t capabilities,
                                  uint32_t open, struct error *err);
