#include "stream/cpr_state.h"
#include "tests/fuzz/fuzz.h"

/* What was decoded can be encoded again to the same bytes; cut bytes are neither
 * accepted nor refused. */
static void check_numbered(const uint8_t *data, size_t len)
{
    struct cpr_state s, back;
    struct buf out = {0};
    struct error err;

    if (cpr_state_decode(data, len, CPR_NUMBERED, &s, &err) != 1)
        return;
    PROMISE(s.n <= CPR_ENTRIES_MAX);
    PROMISE(cpr_state_encode_numbered(&s, &out, &err) == 0 && out.len == len);
    PROMISE(cpr_state_decode(out.data, out.len, CPR_NUMBERED, &back, &err) == 1 && back.n == s.n);
    PROMISE(cpr_state_decode(out.data, out.len - 1, CPR_NUMBERED, &back, &err) == 0);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cpr_state s;
    struct error err;

    check_numbered(data, len);
    if (cpr_state_decode(data, len, CPR_PASSED, &s, &err) == 1) {
        for (size_t i = 0; i < s.n; i++)
            PROMISE(s.entries[i].fd == (int)i && s.entries[i].name[0]);
    }
    return 0;
}
