/*
 * migration/downtime_estimate.h: estimates how fast the path is, and says when it is time to stop
 * the guest.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "migration/runtime_parameters.h"

struct downtime_estimate {
    uint64_t max_bytes_per_s, downtime_limit_ms;
    uint64_t switchover_bytes_per_s; /* as the user has set it; 0 = as measured */
    double bytes_per_s;              /* measured; 0 = not yet */
};

/* Takes the settings as they are now. A new rate limit discards what was measured. */
void downtime_estimate_update(struct downtime_estimate *p, const struct runtime_parameters *live);
/* A round moved this many bytes in this time. Tiny rounds say nothing about the path. */
void downtime_estimate_round(struct downtime_estimate *p, uint64_t bytes, uint64_t ns);
/* For how long sending the rest would stop the guest, in ms; UINT64_MAX: nothing was measured
 * yet. */
uint64_t downtime_estimate_ms(const struct downtime_estimate *p, uint64_t rest_bytes);
bool downtime_estimate_allows_stop(const struct downtime_estimate *p, uint64_t rest_bytes);
