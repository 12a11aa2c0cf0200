/*
 * zstd. As in QEMU, the first packet opens a frame that never ends, and each packet ends with a
 * flush. A frame for each packet would be as fast, but 4 percent larger. Both are legal, and so is
 * a frame for each page: the unpacker accepts any frames.
 */
#include <stdlib.h>
#include <zstd.h>

#include "compress/codec_object.h"

/* The largest window that a frame may ask for, as a power of two: that of level 20, the highest in
 * QEMU. A peer cannot make us use a larger one. */
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
    bool inside; /* a frame of an earlier packet is still open */
    uint8_t in[CODEC_PACKED_MAX + CODEC_SLACK];
    uint8_t out[CODEC_INPUT_MAX + CODEC_SLACK]; /* for a whole frame that goes to several pieces */
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
    struct zstd_packer *z = malloc(sizeof(*z)); /* unused parts of its buffers take no memory */

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

/* Whether this is exactly one frame, which states the size that we expect. */
static bool whole_frame(const struct zstd_unpacker *z, size_t len, size_t total)
{
    return !z->inside && ZSTD_getFrameContentSize(z->in, len) == total &&
           ZSTD_findFrameCompressedSize(z->in, len) == len;
}

/* Unpacks a whole frame at once: a stream would be copied through a window. */
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

/* Fills one piece, or as much of it as the input has bytes for. */
static int unpack_piece(struct zstd_unpacker *z, ZSTD_inBuffer *in, ZSTD_outBuffer *out,
                        struct error *err)
{
    size_t before, rc;

    do {
        if (!z->inside && in->pos == in->size)
            return 0; /* between frames: another call would open a new one */
        before = in->pos + out->pos;
        rc = ZSTD_decompressStream(z->context, out, in);
        if (ZSTD_isError(rc))
            return damaged(rc, err);
        z->inside = rc != 0;
    } while (out->pos < out->size && in->pos + out->pos > before);
    return 0;
}

/* When all pieces are full, the rest of the input must yield nothing; one more byte shows that. */
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
    .level_min = -131072, /* ZSTD_minCLevel(), the library's lowest */
    .level_max = 20,
    .packer_new = zstd_packer_new,
    .unpacker_new = zstd_unpacker_new,
};
