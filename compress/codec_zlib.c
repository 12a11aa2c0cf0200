/*
 * zlib's format by zlib itself: for every level, and for CPUs on which igzip is not worth it.
 */
#include <stdlib.h>
#include <zlib.h>

#include "compress/codec_object.h"

struct zlib_packer {
    struct packer base;
    z_stream z;
    uint8_t in[CODEC_INPUT_MAX + CODEC_SLACK];
    uint8_t out[CODEC_PACKED_MAX + CODEC_SLACK];
};

struct zlib_unpacker {
    struct unpacker base;
    z_stream z;
    uint8_t in[CODEC_PACKED_MAX + CODEC_SLACK];
};

static int zlib_pack(struct packer *p, size_t len, const uint8_t **ret, size_t *ret_len,
                     struct error *err)
{
    struct zlib_packer *z = (struct zlib_packer *)p;

    z->z.next_in = z->in;
    z->z.avail_in = (uInt)len;
    z->z.next_out = z->out;
    z->z.avail_out = CODEC_PACKED_MAX;
    int rc = deflate(&z->z, Z_SYNC_FLUSH);
    if (rc != Z_OK || z->z.avail_in || !z->z.avail_out)
        return err_set(err, ERR_SYSTEM, "zlib: deflate returned %d with %u bytes left", rc,
                       z->z.avail_in);
    *ret = z->out;
    *ret_len = CODEC_PACKED_MAX - z->z.avail_out;
    return 0;
}

static void zlib_packer_free(struct packer *p)
{
    struct zlib_packer *z = (struct zlib_packer *)p;

    deflateEnd(&z->z);
    free(z);
}

static int zlib_packer_new(int level, struct packer **ret, struct error *err)
{
    struct zlib_packer *z = malloc(sizeof(*z)); /* unused parts of its buffers take no memory */

    if (!z)
        return err_sys(err, "memory for zlib");
    z->base = (struct packer){.in = z->in, .pack = zlib_pack, .free = zlib_packer_free};
    z->z = (z_stream){0};
    if (deflateInit(&z->z, level) != Z_OK) {
        free(z);
        return err_set(err, ERR_SYSTEM, "zlib: level %d does not start", level);
    }
    *ret = &z->base;
    return 0;
}

/* Fills one piece. */
static int inflate_piece(z_stream *z, const struct iovec *piece, struct error *err)
{
    z->next_out = piece->iov_base;
    z->avail_out = (uInt)piece->iov_len;
    int rc = inflate(z, Z_SYNC_FLUSH);
    if (rc == Z_STREAM_END)
        return err_set(err, ERR_PEER, "the stream ends, expected one without an end");
    if (rc != Z_OK && rc != Z_BUF_ERROR)
        return err_set(err, ERR_PEER, "damaged: %s", z->msg ? z->msg : zError(rc));
    return 0;
}

/*
 * When all pieces are full, only the flush may be left, which yields nothing. Room for one more
 * byte shows whether there is more.
 */
static int inflate_rest(z_stream *z, size_t total, struct error *err)
{
    uint8_t surplus;
    struct iovec piece = {&surplus, sizeof(surplus)};

    if (inflate_piece(z, &piece, err) < 0)
        return -1;
    return z->avail_out ? 0 : codec_too_much(total, err);
}

static int zlib_unpack(struct unpacker *u, size_t len, const struct iovec *iov, size_t n,
                       struct error *err)
{
    z_stream *z = &((struct zlib_unpacker *)u)->z;
    size_t total = codec_total(iov, n), done = 0;

    z->next_in = u->in;
    z->avail_in = (uInt)len;
    for (size_t i = 0; i < n; i++) {
        if (inflate_piece(z, &iov[i], err) < 0)
            return -1;
        done += iov[i].iov_len - z->avail_out;
        if (z->avail_out)
            return codec_too_little(done, total, err);
    }
    return inflate_rest(z, total, err);
}

static void zlib_unpacker_free(struct unpacker *u)
{
    struct zlib_unpacker *z = (struct zlib_unpacker *)u;

    inflateEnd(&z->z);
    free(z);
}

static int zlib_unpacker_new(struct unpacker **ret, struct error *err)
{
    struct zlib_unpacker *z = malloc(sizeof(*z)); /* unused parts of its buffer take no memory */

    if (!z)
        return err_sys(err, "memory for zlib");
    z->base = (struct unpacker){.in = z->in, .unpack = zlib_unpack, .free = zlib_unpacker_free};
    z->z = (z_stream){0};
    if (inflateInit(&z->z) != Z_OK) {
        free(z);
        return err_set(err, ERR_SYSTEM, "zlib: inflate does not start");
    }
    (void)inflateValidate(&z->z, 0); /* no checksum: it is at a stream's end, which never comes */
    *ret = &z->base;
    return 0;
}

const struct codec_ops codec_zlib = {
    .name = "zlib",
    .method = CODEC_ZLIB,
    .level_min = Z_NO_COMPRESSION,
    .level_max = Z_BEST_COMPRESSION,
    .packer_new = zlib_packer_new,
    .unpacker_new = zlib_unpacker_new,
};
