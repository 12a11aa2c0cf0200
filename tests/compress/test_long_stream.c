/* More than 4 GiB through one stream: libraries count in 32 bits, and a channel lives longer. */
#include "compress/codec.h"
#include "tests/support/pages.h"
#include "tests/support/test.h"

#define PACKETS_4G ((UINT64_C(1) << 32) / CODEC_INPUT_MAX)
#define PACKETS    (PACKETS_4G + 64)

/* Most packets have pages that pack fast; some, and those near 4 GiB, have others. */
static bool interesting(uint64_t packet)
{
    return packet % 512 == 7 || packet + 4 >= PACKETS_4G;
}

static void counters_may_start_again(void **state)
{
    static uint8_t dull[CODEC_INPUT_MAX], lively[CODEC_INPUT_MAX], place[CODEC_INPUT_MAX];
    /* Only zlib counts in 32 bits: zstd has 64 bits. */
    const struct codec_ops *codec = codec_packing(CODEC_ZLIB, 1);
    struct iovec iov = {place, sizeof(place)};
    struct unpacker *unpacker;
    struct packer *packer;
    const uint8_t *packed;
    struct error err;
    size_t len;

    (void)state;
    OK(codec->packer_new(1, &packer, &err), err, codec->name);
    OK(codec->unpacker_new(&unpacker, &err), err, codec->name);
    memset(dull, 7, sizeof(dull));
    for (uint64_t i = 0; i < PACKETS; i++) {
        const uint8_t *pages = interesting(i) ? lively : dull;

        if (pages == lively)
            pages_fill(lively, CODEC_INPUT_MAX / PAGE, PAGES_MIXED, i / 3);
        memcpy(packer_input(packer), pages, CODEC_INPUT_MAX);
        OK(packer_pack(packer, CODEC_INPUT_MAX, &packed, &len, &err), err, codec->name);
        memcpy(unpacker_input(unpacker), packed, len);
        OK(unpacker_unpack(unpacker, len, &iov, 1, &err), err, codec->name);
        CHECK(memcmp(place, pages, sizeof(place)) == 0, "packet %llu differs",
              (unsigned long long)i);
    }
    unpacker_free(unpacker);
    packer_free(packer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counters_may_start_again)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
