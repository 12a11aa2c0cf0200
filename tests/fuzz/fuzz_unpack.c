/*
 * Packets of one stream. The first byte picks the implementation, the second how many pages each
 * packet has and whether their places are contiguous; then a packet's length in two bytes, the
 * packet, and so on.
 */
#include <string.h>

#include "compress/codec.h"
#include "tests/fuzz/fuzz.h"

#define PAGE      4096
#define PAGES_MAX 8
#define GUARD_LEN 64

static uint8_t arena[PAGES_MAX * (PAGE + GUARD_LEN) + GUARD_LEN];

static size_t lay_out(uint8_t shape, struct iovec iov[static PAGES_MAX])
{
    size_t n = 1 + shape % PAGES_MAX;

    memset(arena, 0xa5, sizeof(arena));
    iov[0] = (struct iovec){arena + GUARD_LEN, n * PAGE};
    if (shape & 0x80)
        return 1;
    for (size_t i = 0; i < n; i++)
        iov[i] = (struct iovec){arena + GUARD_LEN + i * (PAGE + GUARD_LEN), PAGE};
    return n;
}

static void check_guards(const struct iovec *iov, size_t n)
{
    const uint8_t *at = arena;

    for (size_t i = 0; i < n; i++) {
        for (; at < (uint8_t *)iov[i].iov_base; at++)
            PROMISE(*at == 0xa5);
        at += iov[i].iov_len;
    }
    for (; at < arena + sizeof(arena); at++)
        PROMISE(*at == 0xa5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t n_codecs, n;
    const struct codec_ops *const *codecs = codec_implementations(&n_codecs);
    struct iovec iov[PAGES_MAX];
    struct unpacker *unpacker;
    struct error err;
    int rc = 0;

    if (len < 2)
        return 0;
    n = lay_out(data[1], iov);
    PROMISE(codecs[data[0] % n_codecs]->unpacker_new(&unpacker, &err) == 0);
    for (size_t at = 2; at + 2 < len && rc == 0;) {
        size_t packet = (size_t)(data[at] << 8 | data[at + 1]);

        at += 2;
        if (packet > len - at)
            packet = len - at;
        if (packet > 0)
            memcpy(unpacker_input(unpacker), data + at, packet);
        rc = unpacker_unpack(unpacker, packet, iov, n, &err);
        at += packet;
    }
    if (rc < 0)
        PROMISE(err.kind == ERR_PEER && err.text[0] && !strchr(err.text, '\n'));
    check_guards(iov, n);
    unpacker_free(unpacker);
    return 0;
}
