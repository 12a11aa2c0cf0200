/*
 * tests/support/held_source.h: a dirty source over another one, that can be made to wait: so a test
 * has a migration where it wants it.
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
    void (*started)(void *arg); /* by the migration's thread, before it waits; NULL: nothing */
    void *arg;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum held_at at, held; /* where it is to wait; where it does */
    unsigned n_stopped;    /* stop() has returned so often */
};

void held_source_init(struct held_source *h, struct dirty_source *inner);
void held_source_done(struct held_source *h);
/* The next one that comes there waits; HELD_NOWHERE lets it go. */
void held_source_hold(struct held_source *h, enum held_at at);
/* Until one waits there. */
void held_source_await(struct held_source *h, enum held_at at);
unsigned held_source_stopped(struct held_source *h);
