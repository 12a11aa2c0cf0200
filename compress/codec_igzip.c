/*
 * zlib's format by ISA-L: several times zlib's speed at levels 1 and 2, with nearly its ratio.
 *
 * A zlib stream has its checksum at the end, and our streams never end. So no checksum is computed
 * after the header, which saves a tenth of the time.
 *
 * ISA-L writes only into our own buffers, with slack after them, never into a guest's memory:
 * Debian's version 2.30 is known to overrun buffers.
 */
#include <stdlib.h>

#include <isa-l/igzip_lib.h>

#include "compress/codec_object.h"

struct igzip_packer {
    struct packer base;
    struct isal_zstream z;
    uint8_t level_buf[MAX(ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT) + CODEC_SLACK];
    uint8_t in[CODEC_INPUT_MAX + CODEC_SLACK];
    uint8_t out[CODEC_PACKED_MAX + CODEC_SLACK];
};

struct igzip_unpacker {
    struct unpacker base;
    struct inflate_state z;
    uint8_t in[CODEC_PACKED_MAX + CODEC_SLACK];
    uint8_t out[CODEC_INPUT_MAX + CODEC_SLACK];
};

static int igzip_pack(struct packer *p, size_t len, const uint8_t **ret, size_t *ret_len,
                      struct error *err)
{
    struct igzip_packer *g = (struct igzip_packer *)p;

    g->z.next_in = g->in;
    g->z.avail_in = (uint32_t)len;
    g->z.next_out = g->out;
    g->z.avail_out = CODEC_PACKED_MAX;
    int rc = isal_deflate(&g->z);
    if (rc != COMP_OK || g->z.avail_in || !g->z.avail_out)
        return err_set(err, ERR_SYSTEM, "igzip: deflate returned %d with %u bytes left", rc,
                       g->z.avail_in);
    g->z.gzip_flag = IGZIP_DEFLATE; /* the header is written */
    *ret = g->out;
    *ret_len = CODEC_PACKED_MAX - g->z.avail_out;
    return 0;
}

static void igzip_packer_free(struct packer *p)
{
    free(p);
}

static int igzip_packer_new(int level, struct packer **ret, struct error *err)
{
    struct igzip_packer *g = malloc(sizeof(*g)); /* unused parts of its buffers take no memory */

    if (!g)
        return err_sys(err, "memory for igzip");
    g->base = (struct packer){.in = g->in, .pack = igzip_pack, .free = igzip_packer_free};
    isal_deflate_init(&g->z);
    g->z.level = (uint32_t)level;
    g->z.level_buf = g->level_buf;
    g->z.level_buf_size = level == 1 ? ISAL_DEF_LVL1_DEFAULT : ISAL_DEF_LVL2_DEFAULT;
    g->z.gzip_flag = IGZIP_ZLIB;
    g->z.flush = SYNC_FLUSH;
    *ret = &g->base;
    return 0;
}

static int igzip_unpack(struct unpacker *u, size_t len, const struct iovec *iov, size_t n,
                        struct error *err)
{
    struct igzip_unpacker *g = (struct igzip_unpacker *)u;
    size_t total = codec_total(iov, n), room = total + 1; /* one byte more shows a surplus */

    g->z.next_in = g->in;
    g->z.avail_in = (uint32_t)len;
    g->z.next_out = g->out;
    g->z.avail_out = (uint32_t)room;
    int rc = isal_inflate(&g->z);
    size_t done = room - g->z.avail_out;
    if (rc != ISAL_DECOMP_OK)
        return err_set(err, ERR_PEER, "damaged: igzip's error %d", rc);
    if (g->z.block_state == ISAL_BLOCK_FINISH)
        return err_set(err, ERR_PEER, "the stream ends, expected one without an end");
    if (done > total)
        return codec_too_much(total, err);
    if (done < total)
        return codec_too_little(done, total, err);
    g->z.crc_flag = ISAL_DEFLATE; /* the header is read */
    codec_scatter(g->out, iov, n);
    return 0;
}

static void igzip_unpacker_free(struct unpacker *u)
{
    free(u);
}

static int igzip_unpacker_new(struct unpacker **ret, struct error *err)
{
    struct igzip_unpacker *g = malloc(sizeof(*g)); /* as above */

    if (!g)
        return err_sys(err, "memory for igzip");
    g->base = (struct unpacker){.in = g->in, .unpack = igzip_unpack, .free = igzip_unpacker_free};
    isal_inflate_init(&g->z);
    g->z.crc_flag = ISAL_ZLIB;
    *ret = &g->base;
    return 0;
}

/* Only with vector instructions: without them zlib is as fast, and better tested. */
static bool worth_it(void)
{
    return __builtin_cpu_supports("sse4.2");
}

const struct codec_ops codec_igzip = {
    .name = "igzip",
    .method = CODEC_ZLIB,
    .level_min = 1,
    .level_max = 2,
    .worth_it = worth_it,
    .packer_new = igzip_packer_new,
    .unpacker_new = igzip_unpacker_new,
};
