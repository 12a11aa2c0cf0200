/*
 * perf/bench.h: what the micro-benchmarks have in common: their options, rows that are measured by
 * turns, medians, a table, JSON. A program that compares each row with its physical limit fills a
 * struct bench and calls bench_run(). Any failure ends the program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"

#define BENCH_REPS_MAX 99

struct bench_options {
    bool quick, json;
    int reps;
    const char *argument; /* or NULL */
};

/* `reps`, or with --quick `quick_reps`, is the default of --reps. Ends the program after --help and
 * on a usage error. */
struct bench_options bench_options(int argc, char **argv, const char *usage, int reps,
                                   int quick_reps);

/* Ends the program if rc < 0. */
void bench_must(int rc, const struct error *err);
/* Memory with huge pages, as a guest's memory should have, and already touched. Never freed. */
uint8_t *bench_memory(size_t len);
/* Touches and frees `len` bytes: memory that a hypervisor took back is slow at the first touch. */
void bench_warm(size_t len);
void bench_stay_on_one_core(void);

uint64_t bench_thread_cpu_ns(void);
uint64_t bench_process_cpu_ns(void);

double bench_median(const double *samples, int n);
/* The median of a[i] / b[i]. Both values of a repetition were measured under the same load. */
double bench_quotient(const double *a, const double *b, int n);
json_t *bench_samples(const double *samples, int n);

/* --- rows beside their limits ----------------------------------------------------------------- */

struct bench_time {
    uint64_t wall_ns, cpu_ns; /* the whole process's */
};

struct bench_time bench_now(void);
struct bench_time bench_since(struct bench_time began);

struct bench_row {
    const char *name;
    /* Moves or reads `bytes` bytes of *work. Only the time between bench_now() and bench_since()
     * counts. */
    struct bench_time (*run)(const struct bench_row *row, void *work);
    const void *what; /* the row's own parameter */
    /* Names of the rows whose times add up to the least that this row could take; NULL: none. */
    const char *limits[2];
    double wanted; /* the part of that limit's rate to reach; 0: nothing is promised */
};

struct bench {
    const char *title;
    const struct bench_row *rows;
    size_t n_rows;
    void *work;
    uint64_t bytes;      /* how many every row handles */
    uint64_t warm_bytes; /* how many a row touches for the first time; 0: none */
    const char *note;    /* a line under the table, or NULL */
};

/* Measures all rows by turns and prints them. */
void bench_run(const struct bench *b, const struct bench_options *o);
