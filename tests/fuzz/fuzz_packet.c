#include <string.h>

#include "multifd/packet.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t wire[MULTIFD_PACKET_LEN], again[MULTIFD_PACKET_LEN];
    struct multifd_packet p = {0}, q = {0};
    struct error err;

    if (len < sizeof(wire))
        return 0;
    memcpy(wire, data, sizeof(wire));
    if (multifd_prefix_check(wire, &err) < 0 || multifd_packet_decode(wire, &p, &err) < 0)
        return 0;
    PROMISE(p.n_normal <= MULTIFD_PAGES && p.n_zero <= MULTIFD_PAGES - p.n_normal);
    PROMISE(memchr(p.block, 0, sizeof(p.block)));
    PROMISE(p.method < CODEC_N);
    multifd_packet_encode(&p, again);
    PROMISE(multifd_prefix_check(again, &err) == 0);
    PROMISE(multifd_packet_decode(again, &q, &err) == 0);
    PROMISE(q.n_normal == p.n_normal && q.n_zero == p.n_zero && q.sync == p.sync);
    PROMISE(strcmp(q.block, p.block) == 0);
    PROMISE(memcmp(q.offsets, p.offsets, (p.n_normal + p.n_zero) * sizeof(p.offsets[0])) == 0);
    return 0;
}
