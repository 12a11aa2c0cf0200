#include "compress/packer.h"

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
