/*
 * migration/dirty_rate.h: measures how fast a guest writes its memory, in a thread of its own:
 * QEMU's calc-dirty-rate. It either looks twice at pages chosen at random, or reads the dirty log,
 * which no migration may use meanwhile.
 */
#pragma once

#include "migration/machine.h"

enum dirty_rate_mode { DIRTY_RATE_SAMPLING, DIRTY_RATE_LOG };

struct dirty_rate_config {
    struct machine *machine; /* must outlive the measurement */
    enum dirty_rate_mode mode;
    uint64_t calc_ms;
    unsigned sample_pages; /* sampled pages per GiB of a block */
};

enum dirty_rate_status { DIRTY_RATE_MEASURING, DIRTY_RATE_MEASURED, DIRTY_RATE_FAILED };

struct dirty_rate;

/* ERR_USAGE where mode DIRTY_RATE_LOG is asked for and the machine has no dirty log. */
MUST_USE int dirty_rate_start(const struct dirty_rate_config *config, struct dirty_rate **ret,
                              struct error *err);
/* Any thread, until dirty_rate_free(). *ret_bytes_per_s is written once the rate is measured. */
enum dirty_rate_status dirty_rate_read(struct dirty_rate *d, uint64_t *ret_bytes_per_s);
/* Ends the measurement early, with what has been seen so far; then the dirty log is free. Called by
 * one thread. */
void dirty_rate_stop(struct dirty_rate *d);
/* Calls dirty_rate_stop() first. NULL is fine. */
void dirty_rate_free(struct dirty_rate *d);
