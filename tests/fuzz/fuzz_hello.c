#include <string.h>

#include "multifd/packet.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t wire[MULTIFD_HELLO_LEN], again[MULTIFD_HELLO_LEN];
    struct multifd_hello hello;
    struct error err;

    if (len < sizeof(wire))
        return 0;
    memcpy(wire, data, sizeof(wire));
    if (multifd_hello_decode(wire, &hello, &err) < 0)
        return 0;
    multifd_hello_encode(&hello, again);
    PROMISE(memcmp(wire, again, 25) == 0); /* all but the reserved bytes */
    return 0;
}
