/* Packed bytes that no correct sender would send: cut, flipped, made up. The unpacker never writes
 * outside its places; it ends soon, with complete pages or with an error of the peer in one
 * line. */
#include "compress/codec.h"
#include "tests/support/pages.h"
#include "tests/support/test.h"

#define PACKETS 3 /* in a stream; the last one is damaged */
#define FLIPS   2000
#define MADE_UP 1000

static const size_t packet_pages[] = {1, 3, 40};
static const enum page_kind kinds[] = {PAGES_TEXT, PAGES_RANDOM, PAGES_MIXED};

/* A stream that is packed once and unpacked once for each damage. */
struct stream {
    const struct codec_ops *codec;
    size_t n_pages; /* in each packet */
    uint8_t packed[PACKETS][CODEC_INPUT_MAX];
    size_t len[PACKETS];
};

static void make_stream(struct stream *s, const struct codec_ops *codec, enum page_kind kind,
                        size_t n_pages)
{
    struct packer *packer;
    const uint8_t *packed;
    struct error err;

    s->codec = codec;
    s->n_pages = n_pages;
    OK(codec->packer_new(1, &packer, &err), err, codec->name);
    for (unsigned i = 0; i < PACKETS; i++) {
        pages_fill(packer_input(packer), n_pages, kind, i);
        OK(packer_pack(packer, n_pages * PAGE, &packed, &s->len[i], &err), err, codec->name);
        CHECK(s->len[i] <= sizeof(s->packed[i]), "%s: %zu bytes", codec->name, s->len[i]);
        memcpy(s->packed[i], packed, s->len[i]);
    }
    packer_free(packer);
}

/* Unpacks the stream's first packets, then these bytes, then a good packet. */
static void check_last(const char *label, const struct stream *s, const uint8_t *bytes, size_t len,
                       size_t pieces)
{
    struct unpacker *unpacker;
    struct places places;
    struct error err;
    int rc = 0;

    places_init(&places, s->n_pages * PAGE, pieces ? pieces : s->n_pages);
    OK(s->codec->unpacker_new(&unpacker, &err), err, label);
    for (unsigned i = 0; i < PACKETS + 1 && rc == 0; i++) {
        bool damaged = i == PACKETS - 1;
        size_t n = damaged ? len : s->len[i % PACKETS];

        memcpy(unpacker_input(unpacker), damaged ? bytes : s->packed[i % PACKETS], n);
        rc = unpacker_unpack(unpacker, n, places.iov, places.n, &err);
        CHECK(rc == 0 || i >= PACKETS - 1, "%s: packet %u: %s", label, i, err.text);
    }
    if (rc < 0)
        check_refused(label, rc, &err, ERR_PEER, "");
    places_check_guards(label, &places);
    unpacker_free(unpacker);
    places_done(&places);
}

static void cut(const struct stream *s, const char *label)
{
    size_t last = PACKETS - 1, step = s->len[last] / 1000 + 1;

    for (size_t len = 1; len < s->len[last]; len += step)
        check_last(label, s, s->packed[last], len, len % 2);
}

static void flipped(const struct stream *s, const char *label)
{
    static uint8_t bytes[CODEC_INPUT_MAX];
    size_t len = s->len[PACKETS - 1];
    uint64_t state = 1;

    for (unsigned i = 0; i < FLIPS / s->n_pages; i++) {
        memcpy(bytes, s->packed[PACKETS - 1], len);
        for (uint64_t n = 1 + next_random(&state) % 3; n > 0; n--) {
            uint64_t r = next_random(&state);

            /* Half of the flips are near the front, where the headers are. */
            bytes[r % (r >> 40 & 1 ? len : MIN(len, (size_t)64))] ^= (uint8_t)(1U << (r >> 60 & 7));
        }
        check_last(label, s, bytes, len, i % 2);
    }
}

/* Bytes of no stream at all, after a good one. */
static void made_up(const struct stream *s, const char *label)
{
    static uint8_t bytes[2 * PAGE];
    uint64_t state = 2;

    for (unsigned i = 0; i < MADE_UP / s->n_pages; i++) {
        size_t len = 1 + next_random(&state) % sizeof(bytes);

        for (size_t at = 0; at < len; at++)
            bytes[at] = (uint8_t)(next_random(&state) & next_random(&state) >> 8);
        check_last(label, s, bytes, len, i % 2);
    }
}

static void run(void (*damage)(const struct stream *s, const char *label), const char *what)
{
    static struct stream s;
    size_t n;
    const struct codec_ops *const *all = codec_implementations(&n);

    for (size_t i = 0; i < n * ARRAY_LEN(kinds) * ARRAY_LEN(packet_pages); i++) {
        enum page_kind kind = kinds[i / n % ARRAY_LEN(kinds)];
        char label[64];

        make_stream(&s, all[i % n], kind, packet_pages[i / n / ARRAY_LEN(kinds)]);
        snprintf(label, sizeof(label), "%s, %zu pages, %s, %s", s.codec->name, s.n_pages,
                 page_kinds[kind], what);
        damage(&s, label);
    }
}

static void cut_packets(void **state)
{
    (void)state;
    run(cut, "cut");
}

static void flipped_bits(void **state)
{
    (void)state;
    run(flipped, "flipped");
}

static void bytes_of_nothing(void **state)
{
    (void)state;
    run(made_up, "made up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_packets),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(bytes_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
