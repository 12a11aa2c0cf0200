#include "compress/codec.h"

#include <string.h>

#include "compress/codec_object.h"

extern const struct codec_ops codec_igzip, codec_zlib, codec_zstd;

static const char *const names[] = {
    [CODEC_NONE] = "none", [CODEC_ZLIB] = "zlib", [CODEC_ZSTD] = "zstd",
    [CODEC_QPL] = "qpl",   [CODEC_UADK] = "uadk", [CODEC_QATZIP] = "qatzip",
};
_Static_assert(ARRAY_LEN(names) == CODEC_N, "a name for each method");

/* For each method, the best one comes first. */
static const struct codec_ops *const implementations[] = {
#ifdef RAMJET_HAVE_ISAL
    &codec_igzip,
#endif
    &codec_zlib, &codec_zstd};

const char *codec_name(enum codec_method method)
{
    return names[method];
}

bool codec_built(enum codec_method method)
{
    return method == CODEC_NONE || codec_unpacking(method);
}

const struct codec_ops *const *codec_implementations(size_t *ret_n)
{
    size_t skip = implementations[0]->worth_it && !implementations[0]->worth_it() ? 1 : 0;

    *ret_n = ARRAY_LEN(implementations) - skip;
    return implementations + skip;
}

const struct codec_ops *codec_packing(enum codec_method method, int level)
{
    size_t n;
    const struct codec_ops *const *all = codec_implementations(&n);

    for (size_t i = 0; i < n; i++) {
        if (all[i]->method == method && level >= all[i]->level_min && level <= all[i]->level_max)
            return all[i];
    }
    return NULL;
}

const struct codec_ops *codec_unpacking(enum codec_method method)
{
    size_t n;
    const struct codec_ops *const *all = codec_implementations(&n);

    for (size_t i = 0; i < n; i++) {
        if (all[i]->method == method)
            return all[i];
    }
    return NULL;
}

uint8_t *packer_input(struct packer *p)
{
    return p->in;
}

int packer_pack(struct packer *p, size_t len, const uint8_t **ret, size_t *ret_len,
                struct error *err)
{
    return p->pack(p, len, ret, ret_len, err);
}

void packer_free(struct packer *p)
{
    if (p)
        p->free(p);
}

uint8_t *unpacker_input(struct unpacker *u)
{
    return u->in;
}

int unpacker_unpack(struct unpacker *u, size_t len, const struct iovec *iov, size_t n,
                    struct error *err)
{
    return u->unpack(u, len, iov, n, err);
}

void unpacker_free(struct unpacker *u)
{
    if (u)
        u->free(u);
}

size_t codec_total(const struct iovec *iov, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += iov[i].iov_len;
    return total;
}

void codec_scatter(const uint8_t *from, const struct iovec *iov, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(iov[i].iov_base, from, iov[i].iov_len);
        from += iov[i].iov_len;
    }
}

int codec_too_little(size_t found, size_t expected, struct error *err)
{
    return err_set(err, ERR_PEER, "unpacks to %zu bytes, expected %zu", found, expected);
}

int codec_too_much(size_t expected, struct error *err)
{
    return err_set(err, ERR_PEER, "unpacks to more than the %zu bytes expected", expected);
}
