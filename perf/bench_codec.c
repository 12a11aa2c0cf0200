/*
 * perf/bench_codec.c: how fast pages are packed and unpacked on one core, and how small they get:
 * every implementation of compress/ is compared with the library that it uses, on the same pages in
 * the same run, by turns. Our code copies the pages first, as it must; a library gets them in
 * place.
 *
 * Time is the thread's CPU time, so that other programs on the core do not count.
 */
#include <err.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <isa-l.h>
#include <zlib.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "compress/codec.h"
#include "perf/bench.h"

#define PAGE         4096
#define PACKET       CODEC_INPUT_MAX
#define PACKET_PAGES (PACKET / PAGE)

static struct error error; /* for calls of our own code; any failure ends the program */

static void ours(int rc)
{
    bench_must(rc, &error);
}

static void zstd(size_t rc)
{
    if (ZSTD_isError(rc))
        errx(1, "zstd: %s", ZSTD_getErrorName(rc));
}

/* --- ways of packing ------------------------------------------------------------------------- */

struct packing;

struct pack_ops {
    void *(*open)(const struct packing *p);
    /* Packs one packet; *ret is valid until the next call. */
    size_t (*pack)(void *state, const uint8_t *in, const uint8_t **ret);
    void (*close)(void *state);
};

struct packing {
    const char *name;
    int level;
    const struct pack_ops *ops;
    const char *codec; /* if it is ours, else NULL */
    bool quick;        /* also in a quick run */
};

static const struct codec_ops *codec_named(const char *name)
{
    size_t n;
    const struct codec_ops *const *all = codec_implementations(&n);

    for (size_t i = 0; i < n; i++) {
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    }
    errx(1, "no %s on this CPU", name);
}

static void *ours_open(const struct packing *p)
{
    struct packer *packer;

    ours(codec_named(p->codec)->packer_new(p->level, &packer, &error));
    return packer;
}

static size_t ours_pack(void *state, const uint8_t *in, const uint8_t **ret)
{
    uint8_t *to = packer_input(state);
    size_t len;

    for (size_t i = 0; i < PACKET; i += PAGE)
        memcpy(to + i, in + i, PAGE);
    ours(packer_pack(state, PACKET, ret, &len, &error));
    return len;
}

static void ours_close(void *state)
{
    packer_free(state);
}

static uint8_t packed_by_library[CODEC_PACKED_MAX + PAGE];

static void *deflate_open(const struct packing *p)
{
    z_stream *z = calloc(1, sizeof(*z));

    if (!z || deflateInit(z, p->level) != Z_OK)
        errx(1, "zlib does not start");
    return z;
}

static size_t deflate_pack(void *state, const uint8_t *in, const uint8_t **ret)
{
    z_stream *z = state;

    z->next_in = (uint8_t *)in;
    z->avail_in = PACKET;
    z->next_out = packed_by_library;
    z->avail_out = CODEC_PACKED_MAX;
    if (deflate(z, Z_SYNC_FLUSH) != Z_OK)
        errx(1, "zlib fails");
    *ret = packed_by_library;
    return CODEC_PACKED_MAX - z->avail_out;
}

static void deflate_close(void *state)
{
    deflateEnd(state);
    free(state);
}

struct isal {
    struct isal_zstream z;
    uint8_t level_buf[MAX(ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT)];
};

static void *isal_open(const struct packing *p)
{
    struct isal *s = malloc(sizeof(*s));

    if (!s)
        err(1, "memory");
    isal_deflate_init(&s->z);
    s->z.level = (uint32_t)p->level;
    s->z.level_buf = s->level_buf;
    s->z.level_buf_size = sizeof(s->level_buf);
    s->z.gzip_flag = IGZIP_ZLIB;
    s->z.flush = SYNC_FLUSH;
    return s;
}

static size_t isal_pack(void *state, const uint8_t *in, const uint8_t **ret)
{
    struct isal_zstream *z = &((struct isal *)state)->z;

    z->next_in = (uint8_t *)in;
    z->avail_in = PACKET;
    z->next_out = packed_by_library;
    z->avail_out = CODEC_PACKED_MAX;
    if (isal_deflate(z) != COMP_OK)
        errx(1, "igzip fails");
    *ret = packed_by_library;
    return CODEC_PACKED_MAX - z->avail_out;
}

static void *zstd_open(const struct packing *p)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();

    if (!c)
        errx(1, "zstd does not start");
    zstd(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, p->level));
    return c;
}

static size_t zstd_pack(void *state, const uint8_t *in, const uint8_t **ret)
{
    size_t len = ZSTD_compress2(state, packed_by_library, CODEC_PACKED_MAX, in, PACKET);

    zstd(len);
    *ret = packed_by_library;
    return len;
}

/* As QEMU does it: one frame that never ends. */
static size_t zstd_pack_endless(void *state, const uint8_t *in, const uint8_t **ret)
{
    ZSTD_inBuffer from = {in, PACKET, 0};
    ZSTD_outBuffer to = {packed_by_library, CODEC_PACKED_MAX, 0};

    zstd(ZSTD_compressStream2(state, &to, &from, ZSTD_e_flush));
    *ret = packed_by_library;
    return to.pos;
}

static void zstd_close(void *state)
{
    ZSTD_freeCCtx(state);
}

static const struct pack_ops pack_ours = {ours_open, ours_pack, ours_close};
static const struct pack_ops pack_deflate = {deflate_open, deflate_pack, deflate_close};
static const struct pack_ops pack_isal = {isal_open, isal_pack, free};
static const struct pack_ops pack_zstd = {zstd_open, zstd_pack, zstd_close};
static const struct pack_ops pack_endless = {zstd_open, zstd_pack_endless, zstd_close};

enum {
    ZLIB_1,
    IGZIP_1,
    ZSTD_1,
    ZSTD_DEFAULT,
    LIB_DEFLATE_1,
    LIB_ISAL_1,
    LIB_ZSTD_1,
    FIRST_OF_OTHERS,
};

static const struct packing packings[] = {
    [ZLIB_1] = {"zlib 1", 1, &pack_ours, "zlib", true},
    [IGZIP_1] = {"igzip 1", 1, &pack_ours, "igzip", true},
    [ZSTD_1] = {"zstd 1", 1, &pack_ours, "zstd", true},
    [ZSTD_DEFAULT] = {"zstd -2", -2, &pack_ours, "zstd", true},
    [LIB_DEFLATE_1] = {"library: deflate 1", 1, &pack_deflate, NULL, true},
    [LIB_ISAL_1] = {"library: isal_deflate 1", 1, &pack_isal, NULL, true},
    [LIB_ZSTD_1] = {"library: ZSTD_compress2 1", 1, &pack_zstd, NULL, true},
    [FIRST_OF_OTHERS] = {"zlib 6", 6, &pack_ours, "zlib", false},
    {"igzip 2", 2, &pack_ours, "igzip", false},
    {"zstd 3", 3, &pack_ours, "zstd", false},
    {"zstd -1", -1, &pack_ours, "zstd", false},
    {"zstd -5", -5, &pack_ours, "zstd", false},
    {"zstd -20", -20, &pack_ours, "zstd", false},
    {"library: endless frame 1", 1, &pack_endless, NULL, false},
    {"library: ZSTD_compress2 -2", -2, &pack_zstd, NULL, false},
    {"library: endless frame -2", -2, &pack_endless, NULL, false},
};

/* --- ways of unpacking ----------------------------------------------------------------------- */

struct unpacking;

struct unpack_ops {
    void *(*open)(const struct unpacking *u);
    uint8_t *(*input)(void *state);
    void (*unpack)(void *state, size_t len, const struct iovec *iov, size_t n);
    void (*close)(void *state);
};

struct unpacking {
    const char *name;
    size_t stream; /* the packing that made its input */
    const struct unpack_ops *ops;
    const char *codec; /* if it is ours, else NULL */
    bool scattered;    /* each page goes to a place of its own */
};

static void *ours_unpack_open(const struct unpacking *u)
{
    struct unpacker *unpacker;

    ours(codec_named(u->codec)->unpacker_new(&unpacker, &error));
    return unpacker;
}

static uint8_t *ours_input(void *state)
{
    return unpacker_input(state);
}

static void ours_unpack(void *state, size_t len, const struct iovec *iov, size_t n)
{
    ours(unpacker_unpack(state, len, iov, n, &error));
}

static void ours_unpack_close(void *state)
{
    unpacker_free(state);
}

static uint8_t *library_input(void *state)
{
    (void)state;
    return packed_by_library;
}

static void *inflate_open(const struct unpacking *u)
{
    z_stream *z = calloc(1, sizeof(*z));

    (void)u;
    if (!z || inflateInit(z) != Z_OK)
        errx(1, "zlib does not start");
    return z;
}

static void inflate_unpack(void *state, size_t len, const struct iovec *iov, size_t n)
{
    z_stream *z = state;

    (void)n;
    z->next_in = packed_by_library;
    z->avail_in = (uInt)len;
    z->next_out = iov->iov_base;
    z->avail_out = (uInt)iov->iov_len;
    if (inflate(z, Z_SYNC_FLUSH) != Z_OK)
        errx(1, "zlib fails");
}

static void inflate_close(void *state)
{
    inflateEnd(state);
    free(state);
}

static void *isal_unpack_open(const struct unpacking *u)
{
    struct inflate_state *z = malloc(sizeof(*z));

    (void)u;
    if (!z)
        err(1, "memory");
    isal_inflate_init(z);
    z->crc_flag = ISAL_ZLIB;
    return z;
}

static void isal_unpack(void *state, size_t len, const struct iovec *iov, size_t n)
{
    struct inflate_state *z = state;

    (void)n;
    z->next_in = packed_by_library;
    z->avail_in = (uint32_t)len;
    z->next_out = iov->iov_base;
    z->avail_out = (uint32_t)iov->iov_len;
    if (isal_inflate(z) != ISAL_DECOMP_OK)
        errx(1, "igzip fails");
}

static void *zstd_unpack_open(const struct unpacking *u)
{
    ZSTD_DCtx *d = ZSTD_createDCtx();

    (void)u;
    if (!d)
        errx(1, "zstd does not start");
    return d;
}

static void zstd_unpack(void *state, size_t len, const struct iovec *iov, size_t n)
{
    (void)n;
    zstd(ZSTD_decompressDCtx(state, iov->iov_base, iov->iov_len, packed_by_library, len));
}

static void zstd_unpack_stream(void *state, size_t len, const struct iovec *iov, size_t n)
{
    ZSTD_inBuffer from = {packed_by_library, len, 0};
    ZSTD_outBuffer to = {iov->iov_base, iov->iov_len, 0};

    (void)n;
    while (to.pos < to.size)
        zstd(ZSTD_decompressStream(state, &to, &from));
}

static void zstd_unpack_close(void *state)
{
    ZSTD_freeDCtx(state);
}

static const struct unpack_ops unpack_ours = {ours_unpack_open, ours_input, ours_unpack,
                                              ours_unpack_close};
static const struct unpack_ops unpack_inflate = {inflate_open, library_input, inflate_unpack,
                                                 inflate_close};
static const struct unpack_ops unpack_isal = {isal_unpack_open, library_input, isal_unpack, free};
static const struct unpack_ops unpack_zstd = {zstd_unpack_open, library_input, zstd_unpack,
                                              zstd_unpack_close};
static const struct unpack_ops unpack_endless = {zstd_unpack_open, library_input,
                                                 zstd_unpack_stream, zstd_unpack_close};

enum { LIB_INFLATE, BY_IGZIP };

static const struct unpacking unpackings[] = {
    [LIB_INFLATE] = {"library: inflate", IGZIP_1, &unpack_inflate, NULL, false},
    [BY_IGZIP] = {"igzip", IGZIP_1, &unpack_ours, "igzip", false},
    {"zlib", IGZIP_1, &unpack_ours, "zlib", false},
    {"zlib, scattered", IGZIP_1, &unpack_ours, "zlib", true},
    {"igzip, scattered", IGZIP_1, &unpack_ours, "igzip", true},
    {"library: isal_inflate", IGZIP_1, &unpack_isal, NULL, false},
    {"zlib", ZLIB_1, &unpack_ours, "zlib", false},
    {"igzip", ZLIB_1, &unpack_ours, "igzip", false},
    {"zstd", ZSTD_1, &unpack_ours, "zstd", false},
    {"zstd, scattered", ZSTD_1, &unpack_ours, "zstd", true},
    {"library: ZSTD_decompressStream", ZSTD_1, &unpack_endless, NULL, false},
    {"zstd", ZSTD_DEFAULT, &unpack_ours, "zstd", false},
    {"zstd", LIB_ZSTD_1, &unpack_ours, "zstd", false},
    {"zstd, scattered", LIB_ZSTD_1, &unpack_ours, "zstd", true},
    {"library: ZSTD_decompressDCtx", LIB_ZSTD_1, &unpack_zstd, NULL, false},
};

/* --- the pages ------------------------------------------------------------------------------- */

struct work {
    uint8_t *pages; /* whole packets */
    uint8_t *places;
    size_t n_packets;
};

static void load(struct work *w, const char *path, size_t max_packets)
{
    static const uint8_t zeros[PAGE];
    uint8_t page[PAGE];
    FILE *f = fopen(path, "r");
    size_t n = 0;

    if (!f)
        err(1, "%s", path);
    w->pages = bench_memory(max_packets * PACKET);
    while (n < max_packets * PACKET_PAGES) {
        if (fread(page, PAGE, 1, f) != 1) {
            if (n == 0 || n >= PACKET_PAGES)
                break;
            rewind(f); /* too small for a packet: read it again */
        } else if (memcmp(page, zeros, PAGE) != 0) {
            memcpy(w->pages + n++ * PAGE, page, PAGE);
        }
    }
    fclose(f);
    w->n_packets = n / PACKET_PAGES;
    if (w->n_packets == 0)
        errx(1, "%s: nothing but zeros", path);
    w->places = bench_memory(w->n_packets * PACKET);
}

/* Runs make_image from our own folder; the file is removed when this program ends. */
static const char *make_image(const char *size)
{
    static char path[PATH_MAX] = "/tmp/ramjet-bench-XXXXXX";
    char self[PATH_MAX], program[PATH_MAX + 16];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    AUTO_FD int fd = mkstemp(path);
    int status;
    pid_t pid;

    if (len < 0 || fd < 0)
        err(1, "%s", path);
    self[len] = '\0';
    snprintf(program, sizeof(program), "%s/make_image", dirname(self));
    char *argv[] = {program, (char *)size, path, NULL};
    errno = posix_spawn(&pid, program, NULL, NULL, argv, environ);
    if (errno)
        err(1, "%s", program);
    if (waitpid(pid, &status, 0) < 0 || status != 0) {
        unlink(path);
        errx(1, "%s makes no image", program);
    }
    return path;
}

/* --- measuring ------------------------------------------------------------------------------- */

/* The output of a packing, kept for unpacking. */
struct stream {
    uint8_t *bytes;
    size_t *len; /* of each packet */
    size_t total;
};

struct figure {
    double mb_per_s[BENCH_REPS_MAX];
};

static double mb_per_s(const struct work *w, uint64_t ns)
{
    return (double)(w->n_packets * PACKET) * 1e3 / (double)ns;
}

static double run_packing(const struct packing *p, const struct work *w, struct stream *s)
{
    void *state = p->ops->open(p);
    uint64_t ns = 0;

    s->total = 0;
    for (size_t i = 0; i < w->n_packets; i++) {
        uint64_t since = bench_thread_cpu_ns();
        const uint8_t *packed;

        s->len[i] = p->ops->pack(state, w->pages + i * PACKET, &packed);
        ns += bench_thread_cpu_ns() - since;
        memcpy(s->bytes + s->total, packed, s->len[i]);
        s->total += s->len[i];
    }
    p->ops->close(state);
    return mb_per_s(w, ns);
}

/* The place of page `i` in a scattered packet: no two neighbours stay together. */
static size_t place_of(size_t i)
{
    return i * 45 % PACKET_PAGES;
}

static void lay_out(const struct unpacking *u, uint8_t *to, struct iovec iov[static PACKET_PAGES],
                    size_t *ret_n)
{
    *ret_n = u->scattered ? PACKET_PAGES : 1;
    iov[0] = (struct iovec){to, PACKET};
    for (size_t i = 0; u->scattered && i < PACKET_PAGES; i++)
        iov[i] = (struct iovec){to + place_of(i) * PAGE, PAGE};
}

static double run_unpacking(const struct unpacking *u, const struct work *w, const struct stream *s)
{
    void *state = u->ops->open(u);
    const uint8_t *from = s->bytes;
    uint64_t ns = 0;

    for (size_t i = 0; i < w->n_packets; i++) {
        struct iovec iov[PACKET_PAGES];
        size_t n;

        lay_out(u, w->places + i * PACKET, iov, &n);
        memcpy(u->ops->input(state), from, s->len[i]);
        uint64_t since = bench_thread_cpu_ns();
        u->ops->unpack(state, s->len[i], iov, n);
        ns += bench_thread_cpu_ns() - since;
        from += s->len[i];
    }
    u->ops->close(state);
    return mb_per_s(w, ns);
}

static void check_unpacked(const struct unpacking *u, const struct work *w)
{
    for (size_t i = 0; i < w->n_packets * PACKET_PAGES; i++) {
        size_t place = u->scattered ? i - i % PACKET_PAGES + place_of(i % PACKET_PAGES) : i;

        if (memcmp(w->pages + i * PAGE, w->places + place * PAGE, PAGE) != 0)
            errx(1, "%s from %s: page %zu differs", u->name, packings[u->stream].name, i);
    }
    memset(w->places, 0xff, w->n_packets * PACKET);
}

/* --- results --------------------------------------------------------------------------------- */

struct results {
    bool quick;
    int reps;
    struct figure packed[ARRAY_LEN(packings)], unpacked[ARRAY_LEN(unpackings)];
    struct stream streams[ARRAY_LEN(packings)];
    struct work work;
};

static void measure(struct results *r)
{
    for (size_t i = 0; i < ARRAY_LEN(packings); i++) {
        r->streams[i].bytes = bench_memory(r->work.n_packets * (PACKET + PACKET / 64));
        r->streams[i].len = calloc(r->work.n_packets, sizeof(size_t));
        if (!r->streams[i].len)
            err(1, "memory");
    }
    for (int rep = 0; rep < r->reps; rep++) {
        for (size_t i = 0; i < ARRAY_LEN(packings); i++) {
            if (packings[i].quick || !r->quick)
                r->packed[i].mb_per_s[rep] = run_packing(&packings[i], &r->work, &r->streams[i]);
        }
        for (size_t i = 0; i < ARRAY_LEN(unpackings); i++) {
            const struct unpacking *u = &unpackings[i];

            r->unpacked[i].mb_per_s[rep] = run_unpacking(u, &r->work, &r->streams[u->stream]);
            if (rep == 0)
                check_unpacked(u, &r->work);
        }
    }
}

static double median(const struct results *r, const struct figure *f)
{
    return bench_median(f->mb_per_s, r->reps);
}

static double times_as_fast(const struct results *r, const struct figure *a, const struct figure *b)
{
    return bench_quotient(a->mb_per_s, b->mb_per_s, r->reps);
}

static double ratio(const struct results *r, size_t packing)
{
    return (double)(r->work.n_packets * PACKET) / (double)r->streams[packing].total;
}

/* What compress/ promises. */
static const struct promise {
    const char *what;
    bool unpacking;
    size_t a, b; /* a must be `speed` times as fast as b … */
    double speed;
    double smaller; /* … and reach this part of b's ratio; 0: any ratio will do */
} promises[] = {
    {"igzip 1 against zlib 1, packing", false, IGZIP_1, ZLIB_1, 5, 0.95},
    {"zstd 1 against the library, packing", false, ZSTD_1, LIB_ZSTD_1, 0.9, 0},
    {"zstd -2 against zstd 1, packing", false, ZSTD_DEFAULT, ZSTD_1, 1, 0.92},
    {"igzip against inflate, unpacking igzip 1", true, BY_IGZIP, LIB_INFLATE, 2, 0},
};

static void figures_of(const struct results *r, const struct promise *p, double *ret_speed,
                       double *ret_smaller)
{
    *ret_speed = p->unpacking ? times_as_fast(r, &r->unpacked[p->a], &r->unpacked[p->b])
                              : times_as_fast(r, &r->packed[p->a], &r->packed[p->b]);
    *ret_smaller = p->smaller > 0 ? ratio(r, p->a) / ratio(r, p->b) : 0;
}

static void print_table(const struct results *r)
{
    printf("| packing | MB/s | ratio |\n| --- | ---: | ---: |\n");
    for (size_t i = 0; i < ARRAY_LEN(packings); i++) {
        if (packings[i].quick || !r->quick)
            printf("| %s | %.0f | %.3f |\n", packings[i].name, median(r, &r->packed[i]),
                   ratio(r, i));
    }
    printf("\n| unpacking | what was packed by | MB/s |\n| --- | --- | ---: |\n");
    for (size_t i = 0; i < ARRAY_LEN(unpackings); i++)
        printf("| %s | %s | %.0f |\n", unpackings[i].name, packings[unpackings[i].stream].name,
               median(r, &r->unpacked[i]));
    printf("\n| promised | times as fast | wanted | of its ratio | wanted |\n"
           "| --- | ---: | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < ARRAY_LEN(promises); i++) {
        const struct promise *p = &promises[i];
        double speed, smaller;

        figures_of(r, p, &speed, &smaller);
        printf("| %s | %.2f | %.2f |", p->what, speed, p->speed);
        printf(p->smaller > 0 ? " %.3f | %.2f |\n" : " | |\n", smaller, p->smaller);
    }
}

static json_t *samples(const struct results *r, const struct figure *f)
{
    return bench_samples(f->mb_per_s, r->reps);
}

static void print_json(const struct results *r)
{
    json_t *pack = json_array(), *unpack = json_array(), *kept = json_array();
    char isal[32];

    snprintf(isal, sizeof(isal), "%d.%d.%d", ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION,
             ISAL_PATCH_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(packings); i++) {
        if (packings[i].quick || !r->quick)
            json_array_append_new(pack,
                                  json_pack("{s:s, s:f, s:f, s:o}", "name", packings[i].name,
                                            "mb-per-s", median(r, &r->packed[i]), "ratio",
                                            ratio(r, i), "samples", samples(r, &r->packed[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(unpackings); i++)
        json_array_append_new(unpack, json_pack("{s:s, s:s, s:f, s:o}", "name", unpackings[i].name,
                                                "packed-by", packings[unpackings[i].stream].name,
                                                "mb-per-s", median(r, &r->unpacked[i]), "samples",
                                                samples(r, &r->unpacked[i])));
    for (size_t i = 0; i < ARRAY_LEN(promises); i++) {
        double speed, smaller;

        figures_of(r, &promises[i], &speed, &smaller);
        json_array_append_new(kept, json_pack("{s:s, s:f, s:f, s:f, s:f}", "what", promises[i].what,
                                              "times-as-fast", speed, "times-as-fast-wanted",
                                              promises[i].speed, "of-its-ratio", smaller,
                                              "of-its-ratio-wanted", promises[i].smaller));
    }
    json_t *all =
        json_pack("{s:I, s:i, s:{s:s, s:s, s:s}, s:o, s:o, s:o}", "bytes",
                  (json_int_t)r->work.n_packets * PACKET, "repetitions", r->reps, "libraries",
                  "zlib", zlibVersion(), "isa-l", isal, "zstd", ZSTD_versionString(), "packing",
                  pack, "unpacking", unpack, "promises", kept);
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(5));
    putchar('\n');
    json_decref(all);
}

static const char usage[] = "usage: bench_codec [--quick] [--reps N] [--json] [IMAGE]\n"
                            "  without IMAGE, one is made by make_image and removed\n";

int main(int argc, char **argv)
{
    struct bench_options o = bench_options(argc, argv, usage, 7, 1);
    static struct results r;

    r.quick = o.quick;
    r.reps = o.reps;

    const char *made = !o.argument ? make_image(r.quick ? "16M" : "256M") : NULL;

    load(&r.work, made ? made : o.argument, r.quick ? 8 : 256);
    if (made)
        unlink(made);
    bench_stay_on_one_core();
    measure(&r);
    o.json ? print_json(&r) : print_table(&r);
    return 0;
}
