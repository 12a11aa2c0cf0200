#include "perf/bench.h"

#include <err.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LIMITS ARRAY_LEN(((struct bench_row *)0)->limits)

struct bench_options bench_options(int argc, char **argv, const char *usage, int reps,
                                   int quick_reps)
{
    static const struct option options[] = {
        {"quick", no_argument, NULL, 'q'},
        {"reps", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct bench_options b = {0};
    bool given = false;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'q') {
            b.quick = true;
        } else if (o == 'r') {
            b.reps = (int)strtol(optarg, NULL, 10);
            given = true;
        } else if (o == 'j') {
            b.json = true;
        } else {
            fputs(usage, o == 'h' ? stdout : stderr);
            exit(o == 'h' ? 0 : 2);
        }
    }
    if (!given)
        b.reps = b.quick ? quick_reps : reps;
    if (argc - optind > 1 || b.reps < 1 || b.reps > BENCH_REPS_MAX) {
        fputs(usage, stderr);
        exit(2);
    }
    b.argument = argv[optind];
    return b;
}

void bench_must(int rc, const struct error *e)
{
    if (rc < 0)
        errx(1, "%s", e->text);
}

static uint8_t *touched_memory(size_t len)
{
    uint8_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    madvise(p, len, MADV_HUGEPAGE);
    memset(p, 0xff, len);
    return p;
}

uint8_t *bench_memory(size_t len)
{
    uint8_t *p = touched_memory(len);

    if (!p)
        err(1, "memory");
    return p;
}

/* In another process: our peak memory stays as it is, and running out of memory is no error. */
void bench_warm(size_t len)
{
    pid_t pid = fork();

    if (pid < 0)
        err(1, "fork");
    if (pid == 0) {
        touched_memory(len);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

void bench_stay_on_one_core(void)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof(one), &one) < 0)
        err(1, "sched_setaffinity");
}

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t bench_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t bench_process_cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(const double *samples, int n)
{
    double sorted[BENCH_REPS_MAX];

    memcpy(sorted, samples, (size_t)n * sizeof(sorted[0]));
    qsort(sorted, (size_t)n, sizeof(sorted[0]), by_value);
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

double bench_quotient(const double *a, const double *b, int n)
{
    double quotients[BENCH_REPS_MAX];

    for (int i = 0; i < n; i++)
        quotients[i] = a[i] / b[i];
    return bench_median(quotients, n);
}

json_t *bench_samples(const double *samples, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_real(samples[i]));
    return list;
}

/* --- rows beside their limits ----------------------------------------------------------------- */

struct bench_time bench_now(void)
{
    return (struct bench_time){clock_ns(), bench_process_cpu_ns()};
}

struct bench_time bench_since(struct bench_time began)
{
    struct bench_time now = bench_now();

    return (struct bench_time){now.wall_ns - began.wall_ns, now.cpu_ns - began.cpu_ns};
}

/* Nanoseconds of each repetition. */
struct figure {
    double wall[BENCH_REPS_MAX], cpu[BENCH_REPS_MAX];
};

struct verdict {
    double gb_per_s, gb_per_cpu_s;
    bool limited;
    double of_limit, of_limit_cpu; /* as parts of the limits' rate */
};

static const struct figure *figure_of(const struct bench *b, const struct figure *figures,
                                      const char *name)
{
    for (size_t i = 0; i < b->n_rows; i++) {
        if (strcmp(b->rows[i].name, name) == 0)
            return &figures[i];
    }
    errx(1, "no row %s", name);
}

static struct verdict judge(const struct bench *b, const struct figure *figures, size_t row, int n)
{
    const struct figure *f = &figures[row];
    struct figure least = {0};
    struct verdict v = {
        .gb_per_s = (double)b->bytes / bench_median(f->wall, n),
        .gb_per_cpu_s = (double)b->bytes / bench_median(f->cpu, n),
    };

    for (size_t k = 0; k < LIMITS && b->rows[row].limits[k]; k++) {
        const struct figure *limit = figure_of(b, figures, b->rows[row].limits[k]);

        v.limited = true;
        for (int i = 0; i < n; i++) {
            least.wall[i] += limit->wall[i];
            least.cpu[i] += limit->cpu[i];
        }
    }
    if (v.limited) {
        v.of_limit = bench_quotient(least.wall, f->wall, n);
        v.of_limit_cpu = bench_quotient(least.cpu, f->cpu, n);
    }
    return v;
}

static void limits_text(const struct bench_row *row, char *to, size_t len)
{
    snprintf(to, len, "%s%s%s", row->limits[0] ? row->limits[0] : "", row->limits[1] ? " + " : "",
             row->limits[1] ? row->limits[1] : "");
}

static void print_table(const struct bench *b, const struct figure *figures, int n)
{
    printf("%s: %d repetition%s by turns, medians\n\n", b->title, n, n == 1 ? "" : "s");
    printf("| | GB/s | GB per CPU second | limit | of its rate | … per CPU second | wanted |\n"
           "| --- | ---: | ---: | --- | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < b->n_rows; i++) {
        const struct bench_row *row = &b->rows[i];
        struct verdict v = judge(b, figures, i, n);
        char limits[160];

        limits_text(row, limits, sizeof(limits));
        printf("| %s | %.2f | %.2f | %s |", row->name, v.gb_per_s, v.gb_per_cpu_s, limits);
        printf(v.limited ? " %.2f | %.2f |" : " | |", v.of_limit, v.of_limit_cpu);
        printf(row->wanted > 0 ? " ≥ %.2f |\n" : " |\n", row->wanted);
    }
    if (b->note)
        printf("\n%s\n", b->note);
}

static json_t *row_json(const struct bench *b, const struct figure *figures, size_t i, int n)
{
    const struct bench_row *row = &b->rows[i];
    struct verdict v = judge(b, figures, i, n);
    json_t *o =
        json_pack("{s:s, s:f, s:f, s:o, s:o}", "name", row->name, "gb-per-s", v.gb_per_s,
                  "gb-per-cpu-s", v.gb_per_cpu_s, "wall-ns", bench_samples(figures[i].wall, n),
                  "cpu-ns", bench_samples(figures[i].cpu, n));

    if (v.limited) {
        json_t *limits = json_array();

        for (size_t k = 0; k < LIMITS && row->limits[k]; k++)
            json_array_append_new(limits, json_string(row->limits[k]));
        json_object_set_new(o, "limits", limits);
        json_object_set_new(o, "of-limit", json_real(v.of_limit));
        json_object_set_new(o, "of-limit-cpu", json_real(v.of_limit_cpu));
    }
    if (row->wanted > 0)
        json_object_set_new(o, "wanted", json_real(row->wanted));
    return o;
}

static void print_json(const struct bench *b, const struct figure *figures, int n)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < b->n_rows; i++)
        json_array_append_new(rows, row_json(b, figures, i, n));
    json_t *all = json_pack("{s:s, s:I, s:i, s:o, s:s*}", "title", b->title, "bytes",
                            (json_int_t)b->bytes, "repetitions", n, "rows", rows, "note", b->note);
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(5));
    putchar('\n');
    json_decref(all);
}

void bench_run(const struct bench *b, const struct bench_options *o)
{
    struct figure *figures = calloc(b->n_rows, sizeof(*figures));

    if (!figures)
        err(1, "memory");
    for (int rep = 0; rep < o->reps; rep++) {
        for (size_t k = 0; k < b->n_rows; k++) {
            size_t i = (k + (size_t)rep) % b->n_rows; /* no row always starts a repetition */

            if (b->warm_bytes > 0)
                bench_warm(b->warm_bytes);
            struct bench_time t = b->rows[i].run(&b->rows[i], b->work);
            figures[i].wall[rep] = (double)t.wall_ns;
            figures[i].cpu[rep] = (double)t.cpu_ns;
        }
    }
    o->json ? print_json(b, figures, o->reps) : print_table(b, figures, o->reps);
    free(figures);
}
