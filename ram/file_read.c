#include "ram/file_read.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

int file_read_exactly(int fd, void *to, size_t len, uint64_t offset, struct error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "reading byte %" PRIu64, offset + done);
        if (n == 0)
            return err_set(err, ERR_PEER, "the file ends at byte %" PRIu64 ", %zu more expected",
                           offset + done, len - done);
        done += (size_t)n;
    }
    return 0;
}
