/*
 * stream/section.h: a section's header and footer.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "stream/stream_format.h"
#include "stream/stream_in.h"
#include "stream/stream_out.h"

struct section {
    enum stream_element type; /* START, PART, END or FULL */
    uint32_t id;              /* any number that the source chooses */
    /* START and FULL only: */
    char name[STREAM_NAME_MAX + 1];
    uint32_t instance, version;
};

/* Writes the header, with its type byte. */
void section_out_begin(struct stream_out *out, const struct section *s);
void section_out_end(struct stream_out *out, const struct section *s);

/* Reads what follows the type byte `type`. A failure makes the stream fail. */
void section_in_begin(struct stream_in *in, enum stream_element type, struct section *ret);
void section_in_end(struct stream_in *in, const struct section *s);

/*
 * Skips the body and footer of a section whose device is not known: searches for its footer,
 * followed by the plausible start of an element. A false match is as likely as guessing 48 random
 * bits; the description at the end of the stream would reveal it (stream/description.h).
 */
void section_in_skip(struct stream_in *in, const struct section *s);
