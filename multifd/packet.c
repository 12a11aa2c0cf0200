#include "multifd/packet.h"

#include <string.h>

#include "base/bytes.h"

#define HELLO_RESERVED_LEN  39 /* 7 and 4 × 8 */
#define PACKET_RESERVED_LEN 28 /* 4 and 3 × 8 */
#define PACKET_NAME_LEN     256

static const uint32_t method_flags[] = {
    [CODEC_NONE] = 0x00, [CODEC_ZLIB] = 0x02, [CODEC_ZSTD] = 0x04,
    [CODEC_QPL] = 0x08,  [CODEC_UADK] = 0x10, [CODEC_QATZIP] = 0x20,
};
_Static_assert(ARRAY_LEN(method_flags) == CODEC_N, "flag bits for each method");

static int check_magic(struct reader *r, const char *what, struct error *err)
{
    uint32_t magic = get_u32(r), version = get_u32(r);

    if (magic != MULTIFD_MAGIC)
        return err_set(err, ERR_PEER, "multifd %s: magic 0x%08x, expected 0x%08x", what, magic,
                       MULTIFD_MAGIC);
    if (version != MULTIFD_VERSION)
        return err_set(err, ERR_PEER, "multifd %s: version %u, expected %u", what, version,
                       MULTIFD_VERSION);
    return 0;
}

void multifd_hello_encode(const struct multifd_hello *hello, uint8_t out[static MULTIFD_HELLO_LEN])
{
    struct writer w = writer_of(out, MULTIFD_HELLO_LEN);

    put_u32(&w, MULTIFD_MAGIC);
    put_u32(&w, MULTIFD_VERSION);
    put_bytes(&w, hello->uuid.bytes, UUID_LEN);
    put_u8(&w, hello->id);
    put_zeros(&w, HELLO_RESERVED_LEN);
}

int multifd_hello_decode(const uint8_t in[static MULTIFD_HELLO_LEN], struct multifd_hello *ret,
                         struct error *err)
{
    struct reader r = reader_of(in, MULTIFD_HELLO_LEN);

    if (check_magic(&r, "hello", err) < 0)
        return -1;
    memcpy(ret->uuid.bytes, get_bytes(&r, UUID_LEN), UUID_LEN);
    ret->id = get_u8(&r);
    return 0;
}

void multifd_packet_encode(const struct multifd_packet *p, uint8_t out[static MULTIFD_PACKET_LEN])
{
    struct writer w = writer_of(out, MULTIFD_PACKET_LEN);
    size_t name_len = strlen(p->block);

    put_u32(&w, MULTIFD_MAGIC);
    put_u32(&w, MULTIFD_VERSION);
    put_u32(&w, (p->sync ? MULTIFD_SYNC : 0) | method_flags[p->method]);
    put_u32(&w, MULTIFD_PAGES);
    put_u32(&w, p->n_normal);
    put_u32(&w, p->payload_bytes);
    put_u64(&w, p->number);
    put_u32(&w, p->n_zero);
    put_zeros(&w, PACKET_RESERVED_LEN);
    put_bytes(&w, p->block, name_len);
    put_zeros(&w, PACKET_NAME_LEN - name_len);
    for (size_t i = 0; i < p->n_normal + p->n_zero; i++)
        put_u64(&w, p->offsets[i]);
    put_zeros(&w, writer_left(&w));
}

int multifd_prefix_check(const uint8_t in[static MULTIFD_PREFIX_LEN], struct error *err)
{
    struct reader r = reader_of(in, MULTIFD_PREFIX_LEN);

    if (check_magic(&r, "packet", err) < 0)
        return -1;
    uint32_t flags = get_u32(&r);
    if (flags & MULTIFD_DEVICE_STATE)
        return err_set(err, ERR_PEER,
                       "multifd packet: flags 0x%x, device state, expected RAM: no device here "
                       "takes it",
                       flags);
    return 0;
}

/* False if the bits are not exactly one method. */
static bool method_of(uint32_t flags, enum codec_method *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(method_flags); i++) {
        if ((flags & MULTIFD_METHODS) == method_flags[i]) {
            *ret = (enum codec_method)i;
            return true;
        }
    }
    return false;
}

int multifd_packet_decode(const uint8_t in[static MULTIFD_PACKET_LEN], struct multifd_packet *ret,
                          struct error *err)
{
    struct reader r = reader_of(in, MULTIFD_PACKET_LEN);

    get_bytes(&r, 8); /* multifd_prefix_check() has checked them */
    uint32_t flags = get_u32(&r), capacity = get_u32(&r), n_normal = get_u32(&r);
    ret->sync = flags & MULTIFD_SYNC;
    ret->n_normal = n_normal;
    ret->payload_bytes = get_u32(&r);
    ret->number = get_u64(&r);
    ret->n_zero = get_u32(&r);
    get_bytes(&r, PACKET_RESERVED_LEN);
    const uint8_t *name = get_bytes(&r, PACKET_NAME_LEN);
    if (capacity > MULTIFD_PAGES)
        return err_set(err, ERR_PEER, "multifd packet: capacity of %u pages, expected at most %d",
                       capacity, MULTIFD_PAGES);
    if (n_normal > capacity)
        return err_set(err, ERR_PEER, "multifd packet: %u normal pages, expected at most %u",
                       n_normal, capacity);
    if (ret->n_zero > capacity - n_normal)
        return err_set(err, ERR_PEER,
                       "multifd packet: %u zero pages beside %u normal, expected at "
                       "most %u together",
                       ret->n_zero, n_normal, capacity);
    if (n_normal + ret->n_zero == 0)
        return 0; /* name, method and size mean nothing then; old sources leave stale values */
    if (!method_of(flags, &ret->method))
        return err_set(err, ERR_PEER, "multifd packet: flags 0x%x, not one method", flags);
    if (!memchr(name, 0, PACKET_NAME_LEN))
        return err_set(err, ERR_PEER, "multifd packet: RAM block name without its terminator");
    memcpy(ret->block, name, PACKET_NAME_LEN);
    for (size_t i = 0; i < n_normal + ret->n_zero; i++)
        ret->offsets[i] = get_u64(&r);
    return 0;
}
