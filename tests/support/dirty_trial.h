/*
 * tests/support/dirty_trial.h: a test that every dirty source must pass: rounds of sync and copy
 * while writers write; at the end the copy must equal the memory.
 */
#pragma once

#include <stdbool.h>

#include "ram/block.h"
#include "ram/dirty_source.h"

struct dirty_trial {
    const char *label;
    struct dirty_source *source;
    const struct ram_map *map;
    unsigned rounds;
    /* Returns when the writers have gone on since the last call. */
    void (*progress)(void *arg);
    /* Returns when the writers have ended. */
    void (*settle)(void *arg);
    void *arg;
};

/*
 * Starts the source, copies the pages that exist, runs the rounds, the last one after the writers
 * have ended, and stops the source. Fails the test if a page of the copy differs from memory.
 * Returns how many pages were copied in total.
 */
uint64_t dirty_trial_run(const struct dirty_trial *t);

/* One sync that copies nothing. Returns how many pages became dirty, in all blocks. */
uint64_t dirty_trial_sync(struct dirty_source *s, const struct ram_map *map,
                          struct dirty_bitmap *bitmaps);
/* A bitmap for each block; free with dirty_trial_bitmaps_free(). */
struct dirty_bitmap *dirty_trial_bitmaps(const struct ram_map *map);
void dirty_trial_bitmaps_free(const struct ram_map *map, struct dirty_bitmap *bitmaps);

/* Threads that write to random pages of all blocks until they are told to end. */
struct writers;
struct writers *writers_start(const struct ram_map *map, unsigned n_threads);
/* For the trial's members of the same names. */
void writers_progress(void *writers);
void writers_settle(void *writers);
void writers_free(struct writers *w);
