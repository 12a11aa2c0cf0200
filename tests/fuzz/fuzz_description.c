/* The first two bytes give the length of the early sections; the rest is the tail. */
#include "stream/description.h"
#include "tests/fuzz/fuzz.h"

static void visit(void *arg, const struct section *s, const uint8_t *body, uint64_t body_len)
{
    uint64_t *sum = arg;

    (void)body;
    PROMISE(s->name[0] || body_len < UINT64_MAX);
    *sum += body_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct error err;
    uint64_t sum = 0;
    size_t json;

    if (len < 2)
        return 0;
    size_t n_early = (size_t)(data[0] << 8 | data[1]), rest = len - 2;
    if (n_early > rest)
        return 0;
    struct buf early = {.data = (uint8_t *)data + 2, .len = n_early};
    struct buf tail = {.data = (uint8_t *)data + 2 + n_early, .len = rest - n_early};
    if (description_ends(&tail, &json))
        PROMISE(json < tail.len && tail.data[json] == '{');
    if (description_check(&early, &tail, visit, &sum, &err) == 0)
        PROMISE(sum <= len);
    return 0;
}
