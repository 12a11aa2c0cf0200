/*
 * zstd. As QEMU does it, the first packet opens a frame that never ends, and each packet ends on a
 * flush: a frame for each is as fast, and 4 percent larger. Both are legal, and so are frames for
 * each page: the unpacker takes frames as they come.
 */
#include <stdlib.h>
#include <zstd.h>

#include "compress/codec_object.h"

/* The largest window, as a power of two, that a frame may ask for: that of level 20, the highest
 * that QEMU has. A peer decides on no more memory than this. */
#define WINDOW_LOG_MAX 25

struct zstd_packer {
    struct packer base;
    ZSTD_CCtx *context;
    uint8_t in[CODEC_INPUT_MAX + CODEC_SLACK];
    uint8_t out[CODEC_PACKED_MAX + CODEC_SLACK];
};

struct zstd_unpacker {
    struct unpacker base;
    ZSTD_DCtx *context;
    bool inside; /* a frame is open from the packets before */
    uint8_t in[CODEC_PACKED_MAX + CODEC_SLACK];
    uint8_t out[CODEC_INPUT_MAX + CODEC_SLACK]; /* a whole frame, where its place is in pieces */
};

static int zstd_pack(struct packer *p, size_t len, const uint8_t **ret, size_t *ret_len,
                     struct error *err)
{
    struct zstd_packer *z = (struct zstd_packer *)p;
    ZSTD_inBuffer in = {z->in, len, 0};
    ZSTD_outBuffer out = {z->out, CODEC_PACKED_MAX, 0};
    size_t left = ZSTD_compressStream2(z->context, &out, &in, ZSTD_e_flush);

    if (ZSTD_isError(left))
        return err_set(err, ERR_SYSTEM, "zstd: %s", ZSTD_getErrorName(left));
    if (left)
        return err_set(err, ERR_SYSTEM, "zstd: %zu bytes do not fit", left);
    *ret = z->out;
    *ret_len = out.pos;
    return 0;
}

static void zstd_packer_free(struct packer *p)
{
    struct zstd_packer *z = (struct zstd_packer *)p;

    ZSTD_freeCCtx(z->context);
    free(z);
}

static int zstd_packer_new(int level, struct packer **ret, struct error *err)
{
    struct zstd_packer *z = malloc(sizeof(*z)); /* its buffers are taken up as they are used */

    if (!z)
        return err_sys(err, "memory for zstd");
    z->base = (struct packer){.in = z->in, .pack = zstd_pack, .free = zstd_packer_free};
    z->context = ZSTD_createCCtx();
    if (!z->context ||
        ZSTD_isError(ZSTD_CCtx_setParameter(z->context, ZSTD_c_compressionLevel, level))) {
        zstd_packer_free(&z->base);
        return err_set(err, ERR_SYSTEM, "zstd: level %d does not start", level);
    }
    *ret = &z->base;
    return 0;
}

static int damaged(size_t code, struct error *err)
{
    return err_set(err, ERR_PEER, "damaged: %s", ZSTD_getErrorName(code));
}

/* Is this one frame that says its size, and that it is what we expect? */
static bool whole_frame(const struct zstd_unpacker *z, size_t len, size_t total)
{
    return !z->inside && ZSTD_getFrameContentSize(z->in, len) == total &&
           ZSTD_findFrameCompressedSize(z->in, len) == len;
}

/* Without the window that a stream is copied through. */
static int unpack_frame(struct zstd_unpacker *z, size_t len, const struct iovec *iov, size_t n,
                        size_t total, struct error *err)
{
    uint8_t *to = n == 1 ? iov->iov_base : z->out;
    size_t done = ZSTD_decompressDCtx(z->context, to, total, z->in, len);

    if (ZSTD_isError(done))
        return damaged(done, err);
    if (done != total)
        return codec_too_little(done, total, err);
    if (n > 1)
        codec_scatter(z->out, iov, n);
    return 0;
}

/* Fills one piece, or as much of it as the input has. */
static int unpack_piece(struct zstd_unpacker *z, ZSTD_inBuffer *in, ZSTD_outBuffer *out,
                        struct error *err)
{
    size_t before, rc;

    do {
        if (!z->inside && in->pos == in->size)
            return 0; /* between frames: asking for more would open one */
        before = in->pos + out->pos;
        rc = ZSTD_decompressStream(z->context, out, in);
        if (ZSTD_isError(rc))
            return damaged(rc, err);
        z->inside = rc != 0;
    } while (out->pos < out->size && in->pos + out->pos > before);
    return 0;
}

/* What is left when all pieces are full gives nothing: room for one byte more shows whether. */
static int unpack_rest(struct zstd_unpacker *z, ZSTD_inBuffer *in, size_t total, struct error *err)
{
    uint8_t surplus;
    ZSTD_outBuffer out = {&surplus, sizeof(surplus), 0};

    if (unpack_piece(z, in, &out, err) < 0)
        return -1;
    return out.pos ? codec_too_much(total, err) : 0;
}

static int unpack_stream(struct zstd_unpacker *z, size_t len, const struct iovec *iov, size_t n,
                         size_t total, struct error *err)
{
    ZSTD_inBuffer in = {z->in, len, 0};
    size_t done = 0;

    for (size_t i = 0; i < n; i++) {
        ZSTD_outBuffer out = {iov[i].iov_base, iov[i].iov_len, 0};

        if (unpack_piece(z, &in, &out, err) < 0)
            return -1;
        done += out.pos;
        if (out.pos < out.size)
            return codec_too_little(done, total, err);
    }
    return unpack_rest(z, &in, total, err);
}

static int zstd_unpack(struct unpacker *u, size_t len, const struct iovec *iov, size_t n,
                       struct error *err)
{
    struct zstd_unpacker *z = (struct zstd_unpacker *)u;
    size_t total = codec_total(iov, n);

    if (whole_frame(z, len, total))
        return unpack_frame(z, len, iov, n, total, err);
    return unpack_stream(z, len, iov, n, total, err);
}

static void zstd_unpacker_free(struct unpacker *u)
{
    struct zstd_unpacker *z = (struct zstd_unpacker *)u;

    ZSTD_freeDCtx(z->context);
    free(z);
}

static int zstd_unpacker_new(struct unpacker **ret, struct error *err)
{
    struct zstd_unpacker *z = malloc(sizeof(*z)); /* as above */

    if (!z)
        return err_sys(err, "memory for zstd");
    z->base = (struct unpacker){.in = z->in, .unpack = zstd_unpack, .free = zstd_unpacker_free};
    z->inside = false;
    z->context = ZSTD_createDCtx();
    if (!z->context ||
        ZSTD_isError(ZSTD_DCtx_setParameter(z->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
        zstd_unpacker_free(&z->base);
        return err_set(err, ERR_SYSTEM, "zstd: the unpacker does not start");
    }
    *ret = &z->base;
    return 0;
}

const struct codec_ops codec_zstd = {
    .name = "zstd",
    .method = CODEC_ZSTD,
    .level_min = -131072, /* ZSTD_minCLevel(): the format's own */
    .level_max = 20,
    .packer_new = zstd_packer_new,
    .unpacker_new = zstd_unpacker_new,
};
