#include "compress/codec_object.h"

#include <string.h>

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
