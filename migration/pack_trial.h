/*
 * migration/pack_trial.h: what packing would make of pages that were kept: packs them as packets,
 * once, on the calling thread.
 */
#pragma once

#include "base/cancel.h"
#include "compress/codec.h"
#include "ram/page_samples.h"

struct pack_trial {
    enum codec_method method;
    int level;
    const char *codec; /* the implementation */
    uint64_t bytes, packed_bytes;
    uint64_t cpu_ns; /* that it took */
};

/*
 * Packs kept runs, spread over all of them, until it has used `cpu_ms` of this thread. Fails with
 * ERR_USAGE where this build cannot pack so, and with ERR_CANCELLED at `stop`.
 */
MUST_USE int pack_trial_run(const struct page_samples *samples, enum codec_method method, int level,
                            uint64_t cpu_ms, const struct cancel *stop, struct pack_trial *ret,
                            struct error *err);
/* How many times fewer bytes it would be; 1 where nothing was packed. */
double pack_trial_ratio(const struct pack_trial *t);
/* Guest memory that one core packs. */
uint64_t pack_trial_bytes_per_s(const struct pack_trial *t);
