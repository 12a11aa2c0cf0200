/*
 * tests/support/held_source.h: a dirty source around another one that can be made to wait, so that
 * a test can hold a migration at a chosen point.
 */
#pragma once

#include <pthread.h>

#include "ram/dirty_source.h"

enum held_at {
    HELD_NOWHERE,
    HELD_AT_START, /* accepted, and nothing was read yet */
    HELD_AT_STOP,  /* cancelled or failed, and not over yet */
};

struct held_source {
    struct dirty_source base;
    struct dirty_source *inner; /* NULL: nothing is ever written */
    void (*started)(void *arg); /* called by the migration's thread before it waits, or NULL */
    void *arg;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum held_at at, held; /* where it must wait; where it waits now */
    unsigned n_stopped;    /* how often stop() has returned */
};

void held_source_init(struct held_source *h, struct dirty_source *inner);
void held_source_done(struct held_source *h);
/* The next call that gets there waits; HELD_NOWHERE lets it continue. */
void held_source_hold(struct held_source *h, enum held_at at);
/* Returns when a call waits there. */
void held_source_await(struct held_source *h, enum held_at at);
unsigned held_source_stopped(struct held_source *h);
