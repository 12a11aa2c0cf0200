/*
 * tests/support/dirty_trial.h: what every dirty source must do: rounds of sync and copy while
 * somebody writes, and in the end the copy is the memory.
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
    /* Returns when they have ended. */
    void (*settle)(void *arg);
    void *arg;
};

/*
 * start, what exists, rounds, the last one with the writers at rest, stop. Fails the test where a
 * page of the copy is another than in memory. Returns how many pages were copied in all.
 */
uint64_t dirty_trial_run(const struct dirty_trial *t);

/* One sync with nobody looking at the pages: how many are dirty, in all blocks. */
uint64_t dirty_trial_sync(struct dirty_source *s, const struct ram_map *map,
                          struct dirty_bitmap *bitmaps);
/* A bitmap for each block; free with dirty_trial_bitmaps_free(). */
struct dirty_bitmap *dirty_trial_bitmaps(const struct ram_map *map);
void dirty_trial_bitmaps_free(const struct ram_map *map, struct dirty_bitmap *bitmaps);

/* Threads that write to random pages of all blocks until they are told to end. */
struct writers;
struct writers *writers_start(const struct ram_map *map, unsigned n_threads);
/* These fit the trial's members. */
void writers_progress(void *writers);
void writers_settle(void *writers);
void writers_free(struct writers *w);
