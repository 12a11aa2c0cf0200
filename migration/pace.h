/*
 * migration/pace.h: how fast the path is, and whether it is time to stop the guest.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "migration/live.h"

struct pace {
    uint64_t max_bytes_per_s, downtime_limit_ms;
    uint64_t switchover_bytes_per_s; /* what the user knows of the path; 0 = as measured */
    double bytes_per_s;              /* measured; 0 = not yet */
};

/* The settings as they are now. By another rate limit all is to be measured anew. */
void pace_update(struct pace *p, const struct outgoing_live *live);
/* A round moved so many bytes in so much time. Tiny rounds say nothing about the path. */
void pace_round(struct pace *p, uint64_t bytes, uint64_t ns);
/* How long the rest would keep the guest stopped, in ms; UINT64_MAX where nothing is measured. */
uint64_t pace_expected_ms(const struct pace *p, uint64_t rest_bytes);
bool pace_time_to_stop(const struct pace *p, uint64_t rest_bytes);
