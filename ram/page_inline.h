/*
 * ram/page_inline.h: pages inside the main stream, for a migration without other channels.
 */
#pragma once

#include "ram/page_sink.h"
#include "stream/stream_out.h"

MUST_USE int page_inline_new(struct stream_out *out, struct page_sink **ret, struct error *err);

/*
 * Writes a ZERO record for every page of the bitmaps, and clears them. For sinks that send their
 * zero pages on the main stream.
 */
void page_inline_zeros(struct stream_out *out, const struct ram_map *map,
                       struct dirty_bitmap *zeros);
