#include "stream/return_path.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/bytes_channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct return_path_message m;
    struct stream_in in;
    struct error err;

    bytes_stream_in(&in, data, len);
    while (return_path_recv(&in, &m, &err) == 0)
        PROMISE(in.offset <= len);
    bytes_stream_in_done(&in);
    return 0;
}
