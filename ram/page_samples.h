/*
 * ram/page_samples.h: some of the pages that pass, spread evenly over all of them, however many
 * there will be: what one would look at to say what packing makes of them. It keeps at most
 * PAGE_SAMPLES_MAX bytes.
 *
 * Pages are kept in runs, which came one after the other: packing sees what a packet would have.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "ram/block.h"

#define PAGE_SAMPLES_RUN  128U /* pages in a run, as many as in a packet */
#define PAGE_SAMPLES_RUNS 64U
#define PAGE_SAMPLES_MAX  (PAGE_SAMPLES_RUNS * PAGE_SAMPLES_RUN * RAM_PAGE_SIZE)

struct page_samples {
    _Atomic uint64_t passed; /* pages so far */
    _Atomic uint64_t every;  /* one stretch of PAGE_SAMPLES_RUN pages out of so many is kept */

    pthread_mutex_t lock; /* guards: */
    uint8_t *bytes;       /* PAGE_SAMPLES_MAX; only what is used takes memory */
    size_t n;             /* runs */
    struct page_run {
        uint64_t stretch; /* its number among all that passed */
        unsigned n_pages;
        unsigned place; /* which PAGE_SAMPLES_RUN pages of `bytes` */
    } runs[PAGE_SAMPLES_RUNS];
};

MUST_USE int page_samples_init(struct page_samples *s, struct error *err);
/* Also for one that was only zeroed. */
void page_samples_done(struct page_samples *s);

/* Whole pages have come. Any thread. */
void page_samples_offer(struct page_samples *s, const uint8_t *bytes, size_t len);
/* The i-th run; *ret_len: its bytes. Once no thread offers any more; i < n. */
const uint8_t *page_samples_run(const struct page_samples *s, size_t i, size_t *ret_len);
