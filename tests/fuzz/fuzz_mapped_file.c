/* A mapped-ram file, or a stream in a file, loaded as a VM would be: into memory, page by page. */
#include <string.h>
#include <unistd.h>

#include "capture/target.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/move.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct target *target;
    char path[64];
    struct error err;
    int fd = bytes_fd(data, len);

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    PROMISE(target_null_new(&target, &err) == 0);
    if (move_file_to_target(path, false, target, &err) < 0)
        PROMISE(err.text[0] && !strchr(err.text, '\n') &&
                strncmp(err.text, path, strlen(path)) == 0);
    target_free(target);
    close(fd);
    return 0;
}
