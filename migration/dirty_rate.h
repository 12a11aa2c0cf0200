/*
 * migration/dirty_rate.h: how fast a guest writes its memory, measured for a while by a thread of
 * its own: QEMU's calc-dirty-rate. By looking twice at pages chosen at random, or by the dirty log,
 * which no migration may use meanwhile.
 */
#pragma once

#include "migration/machine.h"

enum dirty_rate_mode { DIRTY_RATE_SAMPLING, DIRTY_RATE_LOG };

struct dirty_rate_config {
    struct machine *machine; /* outlives the measurement */
    enum dirty_rate_mode mode;
    uint64_t calc_ms;
    unsigned sample_pages; /* per GiB of a block */
};

enum dirty_rate_status { DIRTY_RATE_MEASURING, DIRTY_RATE_MEASURED, DIRTY_RATE_FAILED };

struct dirty_rate;

/* ERR_USAGE where the machine has no dirty log to measure by. */
MUST_USE int dirty_rate_start(const struct dirty_rate_config *config, struct dirty_rate **ret,
                              struct error *err);
/* Any thread, until it is freed. The rate is written when it is measured. */
enum dirty_rate_status dirty_rate_read(struct dirty_rate *d, uint64_t *ret_bytes_per_s);
/* By one thread: ends it early, with what has been seen so far. The dirty log is free then. */
void dirty_rate_stop(struct dirty_rate *d);
/* Stops it first. NULL is fine. */
void dirty_rate_free(struct dirty_rate *d);
