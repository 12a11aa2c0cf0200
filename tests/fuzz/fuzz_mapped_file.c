/* A mapped-ram file, or a stream in a file, as a VM is loaded from it: into memory, page by page.
 */
#include <string.h>
#include <unistd.h>

#include "capture/landing.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/move.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct landing *landing;
    char path[64];
    struct error err;
    int fd = bytes_fd(data, len);

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    PROMISE(landing_null_new(&landing, &err) == 0);
    if (move_file_to_landing(path, false, landing, &err) < 0)
        PROMISE(err.text[0] && !strchr(err.text, '\n') &&
                strncmp(err.text, path, strlen(path)) == 0);
    landing_free(landing);
    close(fd);
    return 0;
}
