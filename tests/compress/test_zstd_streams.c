/* zstd's format as other programs may write it: frames of any kind pass if each packet contains all
 * of its pages and the window is not too large. */
#include <unistd.h>
#include <zstd.h>

#include "compress/codec.h"
#include "tests/support/pages.h"
#include "tests/support/test.h"

#define PACKETS 24

static const struct stream_case {
    const char *label;
    ZSTD_EndDirective end; /* what ends each unit … */
    size_t unit;           /* … of so many pages; 0: a packet's */
    unsigned ends_every;   /* a frame ends after every so many packets */
    bool checksum, size;
    int window_log;      /* 0: the level's default */
    size_t stray;        /* extra bytes after each packet's */
    const char *refused; /* a part of a packet's refusal; NULL: all pass */
} stream_cases[] = {
    {"endless, flush per packet", ZSTD_e_flush, 0, 0, false, false, 0, 0, NULL},
    {"endless, flush per page", ZSTD_e_flush, 1, 0, false, false, 0, 0, NULL},
    {"endless, checksum wanted", ZSTD_e_flush, 0, 0, true, false, 0, 0, NULL},
    {"no flush", ZSTD_e_continue, 0, 0, false, false, 0, 0, "unpacks to"},
    {"frame per packet", ZSTD_e_end, 0, 0, false, false, 0, 0, NULL},
    {"frame per packet, checksum", ZSTD_e_end, 0, 0, true, false, 0, 0, NULL},
    {"frame per packet, size", ZSTD_e_end, 0, 0, false, true, 0, 0, NULL},
    {"frame per packet, both", ZSTD_e_end, 0, 0, true, true, 0, 0, NULL},
    {"frame per page", ZSTD_e_end, 1, 0, false, false, 0, 0, NULL},
    {"frame per page, both", ZSTD_e_end, 1, 0, true, true, 0, 0, NULL},
    {"frame per 3 pages", ZSTD_e_end, 3, 0, false, true, 0, 0, NULL},
    {"long frames, some end", ZSTD_e_flush, 0, 5, true, false, 0, 0, NULL},
    {"long frames, pages flushed, some end", ZSTD_e_flush, 1, 2, false, false, 0, 0, NULL},
    {"window of 1 KiB", ZSTD_e_flush, 0, 0, false, false, 10, 0, NULL},
    {"window of 32 MiB", ZSTD_e_flush, 0, 0, false, false, 25, 0, NULL},
    {"window of 64 MiB", ZSTD_e_flush, 0, 0, false, false, 26, 0, "damaged: Frame requires too"},
    {"endless, 3 stray bytes", ZSTD_e_flush, 0, 0, false, false, 0, 3, ""},
    {"frame per packet, 3 stray bytes", ZSTD_e_end, 0, 0, false, false, 0, 3, ""},
    {"frame per packet, size, 9 stray bytes", ZSTD_e_end, 0, 0, false, true, 0, 9, "damaged: "},
};

struct sender {
    const struct stream_case *c;
    ZSTD_CCtx *context;
    uint8_t packed[CODEC_PACKED_MAX];
    size_t len;
};

static void start(struct sender *s, const struct stream_case *c)
{
    s->c = c;
    s->context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(s->context, ZSTD_c_checksumFlag, c->checksum);
    ZSTD_CCtx_setParameter(s->context, ZSTD_c_contentSizeFlag, c->size);
    if (c->window_log)
        ZSTD_CCtx_setParameter(s->context, ZSTD_c_windowLog, c->window_log);
}

/* The payload of the stream's packet `number`. */
static void send(struct sender *s, unsigned number, const uint8_t *pages, size_t n_pages)
{
    size_t unit = s->c->unit ? s->c->unit : n_pages;
    ZSTD_outBuffer out = {s->packed, sizeof(s->packed), 0};

    for (size_t at = 0; at < n_pages; at += unit) {
        size_t n = MIN(unit, n_pages - at);
        bool ends = at + n == n_pages && s->c->ends_every && (number + 1) % s->c->ends_every == 0;
        ZSTD_inBuffer in = {pages + at * PAGE, n * PAGE, 0};

        if (s->c->size)
            ZSTD_CCtx_setPledgedSrcSize(s->context, in.size);
        size_t rc = ZSTD_compressStream2(s->context, &out, &in, ends ? ZSTD_e_end : s->c->end);
        CHECK(!ZSTD_isError(rc) && in.pos == in.size, "%s: %s", s->c->label, ZSTD_getErrorName(rc));
    }
    memset(s->packed + out.pos, 0x5a, s->c->stray);
    s->len = out.pos + s->c->stray;
}

/* Sends packets until one is refused, or to the end. */
static int run(const struct codec_ops *to, const struct stream_case *c, size_t pieces,
               struct error *err)
{
    static struct sender s;
    static uint8_t pages[CODEC_INPUT_MAX];
    struct unpacker *unpacker;
    int rc = 0;

    start(&s, c);
    OK(to->unpacker_new(&unpacker, err), *err, c->label);
    for (unsigned i = 0; i < PACKETS && rc == 0; i++) {
        size_t n_pages = 1 + i * 37 % 128;
        struct places places;

        pages_fill(pages, n_pages, i % PAGES_KINDS, i);
        send(&s, i, pages, n_pages);
        places_init(&places, n_pages * PAGE, pieces ? pieces : n_pages);
        memcpy(unpacker_input(unpacker), s.packed, s.len);
        rc = unpacker_unpack(unpacker, s.len, places.iov, places.n, err);
        if (rc == 0)
            places_check_hold(c->label, &places, pages);
        places_check_guards(c->label, &places);
        places_done(&places);
    }
    unpacker_free(unpacker);
    ZSTD_freeCCtx(s.context);
    return rc;
}

static void as_others_write_it(void **state)
{
    const struct codec_ops *to = codec_unpacking(CODEC_ZSTD);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(stream_cases) * 2; i++) {
        const struct stream_case *c = &stream_cases[i / 2];
        struct error err;
        int rc = run(to, c, i % 2, &err);

        if (c->refused)
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
        else
            OK(rc, err, c->label);
    }
}

/* --- frames made by hand --------------------------------------------------------------------- */

#define MAGIC "\x28\xb5\x2f\xfd"
/* A block that is a page of one byte, the last block of its frame or not. */
#define PAGE_OF(byte)      "\x02\x80\x00" byte
#define LAST_PAGE_OF(byte) "\x03\x80\x00" byte
#define SKIPPED            "\x50\x2a\x4d\x18\x03\x00\x00\x00xyz"

static const struct frame_case {
    const char *label;
    const char *bytes;
    size_t len;
    size_t n_pages;
    const char *refused;
} frame_cases[] = {
#define FRAME(bytes) bytes, sizeof(bytes) - 1
    {"one page", FRAME(MAGIC "\0\x38" LAST_PAGE_OF("a")), 1, NULL},
    {"without an end", FRAME(MAGIC "\0\x38" PAGE_OF("a")), 1, NULL},
    {"two pages", FRAME(MAGIC "\0\x38" PAGE_OF("a") LAST_PAGE_OF("a")), 2, NULL},
    {"two frames", FRAME(MAGIC "\0\x38" LAST_PAGE_OF("a") MAGIC "\0\x38" LAST_PAGE_OF("a")), 2,
     NULL},
    {"an empty frame behind", FRAME(MAGIC "\0\x38" LAST_PAGE_OF("a") MAGIC "\0\x38\1\0\0"), 1,
     NULL},
    {"a frame to skip before", FRAME(SKIPPED MAGIC "\0\x38" LAST_PAGE_OF("a")), 1, NULL},
    {"a frame to skip behind", FRAME(MAGIC "\0\x38" LAST_PAGE_OF("a") SKIPPED), 1, NULL},
    {"only a frame to skip", FRAME(SKIPPED), 1, "unpacks to 0 bytes, expected 4096"},
    {"nothing", FRAME(""), 1, "unpacks to 0 bytes, expected 4096"},
    {"a byte", FRAME("\x28"), 1, "unpacks to 0 bytes, expected 4096"},
    {"an empty frame", FRAME(MAGIC "\0\x38\1\0\0"), 1, "unpacks to 0 bytes, expected 4096"},
    {"too little", FRAME(MAGIC "\0\x38" LAST_PAGE_OF("a")), 2, "4096 bytes, expected 8192"},
    {"too much", FRAME(MAGIC "\0\x38" PAGE_OF("a") PAGE_OF("a")), 1, "more than the 4096 bytes"},
    {"too much, two frames",
     FRAME(MAGIC "\0\x38" LAST_PAGE_OF("a") MAGIC "\0\x38\3\0\0z" LAST_PAGE_OF("a")), 1,
     "damaged: "},
    {"too much by a byte", FRAME(MAGIC "\0\x38" PAGE_OF("a") "\x0b\0\0z"), 1,
     "more than the 4096 bytes"},
    {"says its size", FRAME(MAGIC "\x60\x00\x0f" LAST_PAGE_OF("a")), 1, NULL},
    {"says another size", FRAME(MAGIC "\x60\x01\x0f" LAST_PAGE_OF("a")), 1, "damaged: "},
    {"says twice its size", FRAME(MAGIC "\x60\x00\x1f" LAST_PAGE_OF("a")), 2, "damaged: "},
    {"says half its size", FRAME(MAGIC "\x60\x00\x0f" PAGE_OF("a") LAST_PAGE_OF("a")), 1,
     "damaged: "},
    {"a wrong checksum", FRAME(MAGIC "\x04\x38" LAST_PAGE_OF("a") "abcd"), 1, "damaged: "},
    {"a dictionary", FRAME(MAGIC "\x01\x38\x07" LAST_PAGE_OF("a")), 1, "damaged: "},
    {"a reserved bit", FRAME(MAGIC "\x08\x38" LAST_PAGE_OF("a")), 1, "damaged: "},
    {"a reserved block", FRAME(MAGIC "\0\x38\x06\x80\0a"), 1, "damaged: "},
    {"another magic", FRAME("\x27\xb5\x2f\xfd\0\x38" LAST_PAGE_OF("a")), 1, "damaged: "},
    {"a window of 2 GiB", FRAME(MAGIC "\0\xa8" LAST_PAGE_OF("a")), 1, "too much memory"},
    {"a window of 2 GiB that it does not need, all of it here",
     FRAME(MAGIC "\x40\xa8\x00\x0f" LAST_PAGE_OF("a")), 1, NULL},
    {"a window of 2 TiB", FRAME(MAGIC "\0\xf8" LAST_PAGE_OF("a")), 1, "too much memory"},
    {"a window of 36 MiB", FRAME(MAGIC "\0\x79" LAST_PAGE_OF("a")), 1, "too much memory"},
#undef FRAME
};

/* Pages of address space that the program uses. */
static size_t address_space(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    CHECK(f && fscanf(f, "%zu", &pages) == 1, "statm");
    fclose(f);
    return pages;
}

static void frames_by_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(frame_cases) * 2; i++) {
        const struct frame_case *c = &frame_cases[i / 2];
        struct unpacker *unpacker;
        uint8_t want[2 * PAGE];
        struct places places;
        struct error err;

        memset(want, 'a', sizeof(want));
        OK(codec_unpacking(CODEC_ZSTD)->unpacker_new(&unpacker, &err), err, c->label);
        places_init(&places, c->n_pages * PAGE, i % 2 ? c->n_pages : 1);
        memcpy(unpacker_input(unpacker), c->bytes, c->len);
        size_t before = address_space();
        int rc = unpacker_unpack(unpacker, c->len, places.iov, places.n, &err);
        CHECK(address_space() - before < (64 << 20) / PAGE, "%s: takes %zu pages", c->label,
              address_space() - before);
        if (c->refused) {
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
            places_check_guards(c->label, &places);
        } else {
            OK(rc, err, c->label);
            places_check_hold(c->label, &places, want);
        }
        places_done(&places);
        unpacker_free(unpacker);
    }
}

/* A frame that a packet leaves open continues in the next packet; after its end a
 * new one may begin. */
static void frames_over_packets(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } packets[] = {
        {MAGIC "\0\x38" PAGE_OF("a"), 10},
        {LAST_PAGE_OF("a"), 4},
        {MAGIC "\0\x38" PAGE_OF("a"), 10},
        {PAGE_OF("a") "\1\0\0", 7},
        {MAGIC "\x60\x00\x0f" LAST_PAGE_OF("a"), 11},
        {MAGIC "\0\x38" LAST_PAGE_OF("a"), 10},
    };
    struct unpacker *unpacker;
    uint8_t want[PAGE];
    struct error err;

    (void)state;
    memset(want, 'a', sizeof(want));
    OK(codec_unpacking(CODEC_ZSTD)->unpacker_new(&unpacker, &err), err, "zstd");
    for (size_t i = 0; i < 10 * ARRAY_LEN(packets); i++) {
        size_t k = i % ARRAY_LEN(packets);
        struct places places;

        places_init(&places, PAGE, 1);
        memcpy(unpacker_input(unpacker), packets[k].bytes, packets[k].len);
        OK(unpacker_unpack(unpacker, packets[k].len, places.iov, 1, &err), err, "packet");
        places_check_hold("packet", &places, want);
        places_done(&places);
    }
    unpacker_free(unpacker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_others_write_it),
        cmocka_unit_test(frames_by_hand),
        cmocka_unit_test(frames_over_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
