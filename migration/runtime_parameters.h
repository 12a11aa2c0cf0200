/*
 * migration/runtime_parameters.h: the settings that may change while a migration runs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct runtime_parameters {
    uint64_t max_bytes_per_s;   /* over all connections; 0: no limit */
    uint64_t downtime_limit_ms; /* the guest is stopped when sending the rest takes no longer */
    uint64_t switchover_bytes_per_s; /* the rate at which the rest will be sent; 0: as measured */
    /* For auto-converge and dirty-limit: how much the guest may write anew, of what was sent. */
    unsigned throttle_trigger_percent;
    /* For auto-converge: the share of vCPU time taken at first, added each time, and at most. */
    unsigned throttle_initial_percent, throttle_increment_percent, throttle_max_percent;
    bool throttle_tailslow;          /* add no more than is needed */
    uint64_t vcpu_dirty_bytes_per_s; /* for dirty-limit: what each vCPU may write */
};
