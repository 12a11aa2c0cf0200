/* zlib's format as other programs may write it: ramjet takes what a QEMU destination
 * takes, and no more. */
#include <zlib.h>

#include "compress/codec.h"
#include "tests/support/pages.h"
#include "tests/support/test.h"

#define PACKETS 12

enum ending {
    GOES_ON,       /* one stream that never ends, as the format requires */
    FINISHES,      /* a whole stream for each packet */
    STARTS_AFRESH, /* the same, but no stream is ended */
};

static const struct stream_case {
    const char *label;
    int flush;
    size_t unit; /* a flush follows so many pages; 0: it follows each packet */
    enum ending ending;
    size_t stray;        /* extra bytes after each packet's */
    const char *refused; /* a part of a packet's refusal; NULL: all pass */
    bool may_pass;       /* an unpacker that finds all pages may accept the packets nevertheless */
} stream_cases[] = {
    {"sync flush per packet", Z_SYNC_FLUSH, 0, GOES_ON, 0, NULL, false},
    {"sync flush per page", Z_SYNC_FLUSH, 1, GOES_ON, 0, NULL, false},
    {"sync flush per 3 pages", Z_SYNC_FLUSH, 3, GOES_ON, 0, NULL, false},
    {"full flush per packet", Z_FULL_FLUSH, 0, GOES_ON, 0, NULL, false},
    {"full flush per page", Z_FULL_FLUSH, 1, GOES_ON, 0, NULL, false},
    {"partial flush per packet", Z_PARTIAL_FLUSH, 0, GOES_ON, 0, NULL, false},
    {"partial flush per page", Z_PARTIAL_FLUSH, 1, GOES_ON, 0, NULL, false},
    {"no flush", Z_NO_FLUSH, 0, GOES_ON, 0, "unpacks to 0 bytes, expected", false},
    {"block flush", Z_BLOCK, 0, GOES_ON, 0, "unpacks to", true},
    {"a stream per packet", Z_SYNC_FLUSH, 0, FINISHES, 0, "the stream ends, expected one without",
     false},
    {"a stream's start per packet", Z_SYNC_FLUSH, 0, STARTS_AFRESH, 0, "damaged: ", false},
    {"3 stray bytes", Z_SYNC_FLUSH, 0, GOES_ON, 3, "", false},
};

struct sender {
    const struct stream_case *c;
    z_stream z;
    uint8_t packed[CODEC_PACKED_MAX];
    size_t len;
};

static void start(struct sender *s, int level)
{
    s->z = (z_stream){0};
    CHECK(deflateInit(&s->z, level) == Z_OK, "deflateInit");
}

/* A packet's payload. */
static void send(struct sender *s, int level, const uint8_t *pages, size_t n_pages)
{
    size_t unit = s->c->unit ? s->c->unit : n_pages;

    s->z.next_out = s->packed;
    s->z.avail_out = sizeof(s->packed);
    for (size_t at = 0; at < n_pages; at += unit) {
        size_t n = MIN(unit, n_pages - at);
        bool last = at + n == n_pages;

        s->z.next_in = (uint8_t *)pages + at * PAGE;
        s->z.avail_in = (uInt)(n * PAGE);
        deflate(&s->z, last && s->c->ending == FINISHES ? Z_FINISH : s->c->flush);
        CHECK(s->z.avail_in == 0, "%s: deflate leaves input", s->c->label);
    }
    s->len = sizeof(s->packed) - s->z.avail_out;
    memset(s->packed + s->len, 0x5a, s->c->stray);
    s->len += s->c->stray;
    if (s->c->ending != GOES_ON) {
        deflateEnd(&s->z);
        start(s, level);
    }
}

/* Sends packets until one is refused, or to the end. */
static int run(const struct codec_ops *to, const struct stream_case *c, int level, size_t pieces,
               struct error *err)
{
    static struct sender s;
    static uint8_t pages[CODEC_INPUT_MAX];
    struct unpacker *unpacker;
    int rc = 0;

    s.c = c;
    start(&s, level);
    OK(to->unpacker_new(&unpacker, err), *err, c->label);
    for (unsigned i = 0; i < PACKETS && rc == 0; i++) {
        size_t n_pages = 1 + i * 37 % 128;
        struct places places;

        pages_fill(pages, n_pages, c->refused ? PAGES_TEXT : i % PAGES_KINDS, i);
        send(&s, level, pages, n_pages);
        places_init(&places, n_pages * PAGE, pieces ? pieces : n_pages);
        memcpy(unpacker_input(unpacker), s.packed, s.len);
        rc = unpacker_unpack(unpacker, s.len, places.iov, places.n, err);
        if (rc == 0)
            places_check_hold(c->label, &places, pages);
        places_check_guards(c->label, &places);
        places_done(&places);
    }
    unpacker_free(unpacker);
    deflateEnd(&s.z);
    return rc;
}

static void as_others_write_it(void **state)
{
    static const int levels[] = {1, 6};
    size_t n;
    const struct codec_ops *const *all = codec_implementations(&n);

    (void)state;
    for (size_t i = 0; i < n * ARRAY_LEN(stream_cases) * ARRAY_LEN(levels) * 2; i++) {
        const struct codec_ops *to = all[i % n];
        const struct stream_case *c = &stream_cases[i / n % ARRAY_LEN(stream_cases)];
        size_t rest = i / n / ARRAY_LEN(stream_cases);
        struct error err;
        char label[96];

        if (to->method != CODEC_ZLIB)
            continue;
        snprintf(label, sizeof(label), "%s to %s", c->label, to->name);
        int rc = run(to, c, levels[rest % 2], rest / 2, &err);
        if (c->refused && !(c->may_pass && rc == 0))
            check_refused(label, rc, &err, ERR_PEER, c->refused);
        else
            OK(rc, err, label);
    }
}

/* A packet that holds more or less than its place, by a byte and by a page. */
static void other_sizes(void **state)
{
    static const struct {
        size_t packed, place;
        const char *refused;
    } cases[] = {
        {PAGE, 2 * PAGE, "unpacks to 4096 bytes, expected 8192"},
        {PAGE - 1, PAGE, "unpacks to 4095 bytes, expected 4096"},
        {1, PAGE, "unpacks to 1 bytes, expected 4096"},
        {PAGE + 1, PAGE, "unpacks to more than the 4096 bytes expected"},
        {3 * PAGE, 2 * PAGE, "unpacks to more than the 8192 bytes expected"},
        {CODEC_INPUT_MAX + 1, CODEC_INPUT_MAX, "unpacks to more than the 524288 bytes expected"},
    };
    static uint8_t pages[CODEC_INPUT_MAX + PAGE], packed[CODEC_PACKED_MAX];
    size_t n;
    const struct codec_ops *const *all = codec_implementations(&n);

    (void)state;
    pages_fill(pages, sizeof(pages) / PAGE, PAGES_MIXED, 1);
    for (size_t i = 0; i < n * ARRAY_LEN(cases) * 2; i++) {
        const struct codec_ops *to = all[i % n];
        size_t k = i / n % ARRAY_LEN(cases), in_pages = i / n / ARRAY_LEN(cases);
        struct unpacker *unpacker;
        struct places places;
        struct error err;
        z_stream z = {0};

        if (to->method != CODEC_ZLIB)
            continue;
        CHECK(deflateInit(&z, 1) == Z_OK, "deflateInit");
        z.next_in = pages;
        z.avail_in = (uInt)cases[k].packed;
        z.next_out = packed;
        z.avail_out = sizeof(packed);
        deflate(&z, Z_SYNC_FLUSH);
        OK(to->unpacker_new(&unpacker, &err), err, to->name);
        memcpy(unpacker_input(unpacker), packed, sizeof(packed) - z.avail_out);
        places_init(&places, cases[k].place, in_pages ? cases[k].place / PAGE : 1);
        check_refused(
            to->name,
            unpacker_unpack(unpacker, sizeof(packed) - z.avail_out, places.iov, places.n, &err),
            &err, ERR_PEER, cases[k].refused);
        places_check_guards(to->name, &places);
        places_done(&places);
        unpacker_free(unpacker);
        deflateEnd(&z);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_others_write_it),
        cmocka_unit_test(other_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
