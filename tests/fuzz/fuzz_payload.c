/*
 * A user's payload: the parts of one that is accepted lie inside its file and the guest's memory,
 * and do not overlap.
 */
#include "tests/fuzz/fuzz.h"
#include "vmm/payload.h"

#define MEMORY (UINT64_C(16) << 20)

static void check_segment(const struct payload *p, size_t i)
{
    const struct payload_segment *s = &p->segments[i];

    PROMISE(s->address >= GUEST_IMAGE && s->address <= MEMORY && s->bytes <= MEMORY - s->address);
    PROMISE(s->offset <= p->len && s->offset_bytes <= p->len - s->offset);
    PROMISE(s->offset_bytes <= s->bytes);
    for (size_t other = 0; other < i; other++) {
        const struct payload_segment *o = &p->segments[other];

        PROMISE(s->address + s->bytes <= o->address || o->address + o->bytes <= s->address ||
                s->bytes == 0 || o->bytes == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct payload p;
    struct error err;

    if (payload_parse(data, len, MEMORY, &p, &err) < 0) {
        PROMISE(err.kind == ERR_USAGE);
        return 0;
    }
    PROMISE(p.n_segments > 0 && p.n_segments <= PAYLOAD_SEGMENTS_MAX);
    PROMISE(p.entry >= GUEST_IMAGE && p.entry < MEMORY);
    for (size_t i = 0; i < p.n_segments; i++)
        check_segment(&p, i);
    return 0;
}
