/*
 * perf/bench.h: what the micro-benchmarks have in common: their options, rows that take turns with
 * memory warmed before each, medians, a table, JSON. A program of rows that are measured beside the
 * physical limit of each is bench_main() and its table. What fails ends the program.
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

/* `reps` and `quick_reps` where --reps is not given. Ends the program on --help and mistakes. */
struct bench_options bench_options(int argc, char **argv, const char *usage, int reps,
                                   int quick_reps);

/* Ends the program where rc < 0. */
void bench_must(int rc, const struct error *err);
/* With huge pages, as a guest's memory should have them, and touched. Never freed. */
uint8_t *bench_memory(size_t len);
/* Touches and frees so much: what a hypervisor took back is slow to touch for the first time. */
void bench_warm(size_t len);
void bench_stay_on_one_core(void);

uint64_t bench_thread_cpu_ns(void);
uint64_t bench_process_cpu_ns(void);

double bench_median(const double *samples, int n);
/* The median of a/b, repetition by repetition: what else the machine did then was the same. */
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
    /* Moves or looks at `bytes` bytes of *work. Only what is between bench_now() and bench_since()
     * counts. */
    struct bench_time (*run)(const struct bench_row *row, void *work);
    const void *what; /* the row's own parameter */
    /* Rows whose times together are the least that this one could take, by name; NULL: none. */
    const char *limits[2];
    double wanted; /* part of that rate; 0: nothing is promised */
};

struct bench {
    const char *title;
    const struct bench_row *rows;
    size_t n_rows;
    void *work;
    uint64_t bytes;      /* that every row handles */
    uint64_t warm_bytes; /* that a row touches for the first time; 0: none */
    const char *note;    /* a line under the table, or NULL */
};

/* Measures all rows by turns and prints them. */
void bench_run(const struct bench *b, const struct bench_options *o);
