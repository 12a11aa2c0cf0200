/*
 * perf/make_image.c: writes a file that looks like the memory of a machine in use: runs of pages
 * that were never written, program code, text, tables of integers, and bytes that do not compress.
 * Code and text come from this machine's own files, so two machines' images differ; on one machine
 * the same seed gives the same image as long as those files stay as they are.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
/* Run lengths spread evenly over the powers of two up to this: many short runs, a few of 4 MiB. */
#define RUN_LOG2_MAX 10
#define RUN_MAX      (1u << RUN_LOG2_MAX)
/* A smaller file would be mostly its header. */
#define FILE_BYTES_MIN (16u << 10)
#define FILES_MAX      20000

/* Files of one kind, found once; a run of pages is cut from one of them. */
struct pool {
    char **paths;
    size_t n;
};

struct source {
    uint64_t rng[4];
    struct pool elf;
    struct pool text;
    uint64_t next_id; /* for the records in the tables of integers */
};

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

/* xoshiro256++ by Blackman and Vigna (public domain). */
static uint64_t draw(struct source *s)
{
    uint64_t *r = s->rng;
    uint64_t out = rotl(r[0] + r[3], 23) + r[0];
    uint64_t t = r[1] << 17;

    r[2] ^= r[0];
    r[3] ^= r[1];
    r[1] ^= r[2];
    r[0] ^= r[3];
    r[2] ^= t;
    r[3] = rotl(r[3], 45);
    return out;
}

static uint64_t below(struct source *s, uint64_t limit)
{
    return draw(s) % limit;
}

/* splitmix64, as xoshiro's authors advise: a seed such as 1 must not give a state of zeros. */
static void seed(struct source *s, uint64_t x)
{
    for (size_t i = 0; i < 4; i++) {
        uint64_t z = x += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        s->rng[i] = z ^ z >> 31;
    }
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/*
 * Fills `n` pages with consecutive pages of a file: it starts at a random page and wraps around at
 * the end. The file's zero pages are left out: the mix decides how many of those an image has.
 */
static void fill_from_file(struct source *s, const struct pool *p, uint8_t *out, size_t n)
{
    const char *path = p->paths[below(s, p->n)];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        err(1, "%s", path);

    size_t n_in_file = (size_t)st.st_size / PAGE;
    const uint8_t *map = mmap(NULL, n_in_file * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

    if (map == MAP_FAILED)
        err(1, "mmap of %s", path);
    close(fd);

    size_t at = below(s, n_in_file);
    size_t n_zero = 0;

    while (n > 0) {
        const uint8_t *page = map + at * PAGE;

        at = (at + 1) % n_in_file;
        if (is_zero(page) && ++n_zero < n_in_file)
            continue;
        memcpy(out, page, PAGE);
        out += PAGE;
        n--;
    }
    munmap((void *)map, n_in_file * PAGE);
}

static void fill_zero(struct source *s, uint8_t *out, size_t n)
{
    (void)s;
    memset(out, 0, n * PAGE);
}

static void fill_elf(struct source *s, uint8_t *out, size_t n)
{
    fill_from_file(s, &s->elf, out, n);
}

static void fill_text(struct source *s, uint8_t *out, size_t n)
{
    fill_from_file(s, &s->text, out, n);
}

/* Typical heap contents: records with an id, a pointer, a time and a few small numbers. */
static void fill_integers(struct source *s, uint8_t *out, size_t n)
{
    struct record {
        uint64_t id;
        uint64_t next;
        uint64_t time_ns;
        uint32_t length;
        uint16_t flags;
        uint16_t count;
    } *rec = (struct record *)(void *)out;
    uint64_t heap = 0x00007f0000000000 | below(s, 1u << 24) << 12;
    uint64_t now = 1700000000000000000 + below(s, 1u << 30) * 1000000;

    for (size_t i = 0; i < n * PAGE / sizeof(*rec); i++) {
        uint64_t r = draw(s);

        now += r >> 44;
        rec[i] = (struct record){
            .id = s->next_id++,
            .next = heap + (r & 0xffff) * sizeof(*rec),
            .time_ns = now,
            .length = (uint32_t)(r >> 16 & 0xfff),
            .flags = (uint16_t)(1u << (r >> 28 & 3)),
            .count = (uint16_t)(r >> 30 & 7),
        };
    }
}

static void fill_random(struct source *s, uint8_t *out, size_t n)
{
    uint64_t *word = (uint64_t *)(void *)out;

    for (size_t i = 0; i < n * PAGE / sizeof(*word); i++)
        word[i] = draw(s);
}

enum { ZERO, ELF, TEXT, INTEGERS, RANDOM, N_KINDS };

static void (*const fill[N_KINDS])(struct source *s, uint8_t *out, size_t n) = {
    [ZERO] = fill_zero,         [ELF] = fill_elf,       [TEXT] = fill_text,
    [INTEGERS] = fill_integers, [RANDOM] = fill_random,
};

/* The rest, up to 100 percent, is zero pages. */
static const struct mix {
    const char *name;
    unsigned percent[N_KINDS];
} mixes[] = {
    {"mixed", {[ELF] = 25, [TEXT] = 15, [INTEGERS] = 15, [RANDOM] = 15}},
    {"zero", {0}},
    {"text", {[TEXT] = 100}},
    {"elf", {[ELF] = 100}},
    {"integers", {[INTEGERS] = 100}},
    {"random", {[RANDOM] = 100}},
};
#define N_MIXES (sizeof(mixes) / sizeof(mixes[0]))

static const struct mix *mix_find(const char *name)
{
    for (size_t i = 0; i < N_MIXES; i++)
        if (strcmp(mixes[i].name, name) == 0)
            return &mixes[i];
    return NULL;
}

static void pool_add(struct pool *p, const char *path)
{
    if (p->n == FILES_MAX)
        return;
    if (!p->paths && !(p->paths = calloc(FILES_MAX, sizeof(*p->paths))))
        err(1, "memory for the list of files");
    if (!(p->paths[p->n] = strdup(path)))
        err(1, "memory for the list of files");
    p->n++;
}

static void pool_done(struct pool *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->paths[i]);
    free(p->paths);
}

/* Skips files that we may not read. */
static void sort_in(struct source *s, const char *path)
{
    uint8_t head[PAGE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;

    ssize_t got = read(fd, head, sizeof(head));

    close(fd);
    if (got != sizeof(head))
        return;
    if (memcmp(head, "\177ELF", 4) == 0)
        pool_add(&s->elf, path);
    else if (!memchr(head, 0, sizeof(head)) && head[0] < 0x80)
        pool_add(&s->text, path);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void find_files(struct source *s)
{
    char *roots[] = {"/usr/bin", "/usr/lib", "/usr/share", "/usr/include", NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, by_name);

    if (!walk)
        err(1, "walk of /usr");
    for (FTSENT *e; (e = fts_read(walk));)
        if (e->fts_info == FTS_F && e->fts_statp->st_size >= FILE_BYTES_MIN)
            sort_in(s, e->fts_path);
    fts_close(walk);
    if (s->elf.n == 0 || s->text.n == 0)
        errx(1, "no programs or no text found under /usr to build the image from");
}

/* Draws a kind in proportion to what is left of each, so that the shares come out exactly. */
static size_t draw_kind(struct source *s, const size_t left[static N_KINDS], size_t left_in_all)
{
    uint64_t x = below(s, left_in_all);
    size_t k = 0;

    while (x >= left[k])
        x -= left[k++];
    return k;
}

static size_t draw_run(struct source *s, size_t left)
{
    size_t low = (size_t)1 << below(s, RUN_LOG2_MAX);
    size_t n = low + below(s, low);

    return n < left ? n : left;
}

static void write_all(int fd, const uint8_t *p, size_t n, const char *path)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            err(1, "write to %s", path);
        p += done;
        n -= (size_t)done;
    }
}

static void write_image(struct source *s, const struct mix *mix, size_t n_pages, const char *path)
{
    uint8_t *run = aligned_alloc(PAGE, (size_t)RUN_MAX * PAGE);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    size_t left[N_KINDS];
    size_t left_in_all = n_pages;

    if (!run)
        err(1, "memory for a run of pages");
    if (fd < 0)
        err(1, "%s", path);
    for (size_t k = ZERO + 1; k < N_KINDS; k++)
        left_in_all -= left[k] = n_pages * mix->percent[k] / 100;
    left[ZERO] = left_in_all;

    for (left_in_all = n_pages; left_in_all > 0;) {
        size_t k = draw_kind(s, left, left_in_all);
        size_t n = draw_run(s, left[k]);

        fill[k](s, run, n);
        write_all(fd, run, n * PAGE, path);
        left[k] -= n;
        left_in_all -= n;
    }
    free(run);
    if (close(fd) < 0)
        err(1, "close of %s", path);
}

/* "2G" → bytes; 0 if the text is not a size. */
static uint64_t parse_size(const char *text)
{
    static const char units[] = "KMGT";
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;

    if (unit && end[1] == '\0')
        return n << 10 * (unit - units + 1);
    return *end == '\0' ? n : 0;
}

static const char usage[] =
    "usage: make_image [--mix NAME] [--seed N] SIZE PATH\n"
    "  NAME: mixed (30 % zero, 25 % elf, 15 % each of text, integers and random), or one of\n"
    "  zero, text, elf, integers, random\n"
    "  SIZE is whole MiB: 64M, 2G\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"mix", required_argument, NULL, 'm'},
        {"seed", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const struct mix *mix = &mixes[0];
    uint64_t seed_number = 1;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 's')
            seed_number = strtoull(optarg, NULL, 0);
        else if (o == 'm' && (mix = mix_find(optarg)))
            continue;
        else
            return fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : 2;
    }
    if (argc - optind != 2)
        return fputs(usage, stderr), 2;

    uint64_t size = parse_size(argv[optind]);
    const char *path = argv[optind + 1];
    char *part;

    if (size == 0 || size % (1 << 20) != 0)
        return fputs(usage, stderr), 2;
    /* Has another name until it is complete: the next run must not use a partial image. */
    if (asprintf(&part, "%s.part", path) < 0)
        err(1, "memory for a name");

    struct source s = {0};

    seed(&s, seed_number);
    find_files(&s);
    write_image(&s, mix, size / PAGE, part);
    if (rename(part, path) < 0)
        err(1, "rename to %s", path);
    free(part);
    pool_done(&s.elf);
    pool_done(&s.text);
    return 0;
}
