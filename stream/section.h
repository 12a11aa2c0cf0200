/*
 * stream/section.h: what stands before and behind a section's body.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "stream/stream_format.h"
#include "stream/stream_in.h"
#include "stream/stream_out.h"

struct section {
    enum stream_element type; /* START, PART, END or FULL */
    uint32_t id;              /* chosen by the source, any number */
    /* START and FULL only: */
    char name[STREAM_NAME_MAX + 1];
    uint32_t instance, version;
};

/* The type byte included. */
void section_out_begin(struct stream_out *out, const struct section *s);
void section_out_end(struct stream_out *out, const struct section *s);

/* Reads what follows the type byte `type`. Failures stick to the stream. */
void section_in_begin(struct stream_in *in, enum stream_element type, struct section *ret);
void section_in_end(struct stream_in *in, const struct section *s);

/*
 * Reads over the body and footer of a section whose device is not known, by looking for its footer
 * and the start of a well-formed next element. A chance hit is as likely as 48 random bits; the
 * description at the end of the stream tells (stream/description.h).
 */
void section_in_skip(struct stream_in *in, const struct section *s);
