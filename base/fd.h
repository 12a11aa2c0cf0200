/*
 * base/fd.h: file descriptors that close themselves, with an explicit call to hand one over; and
 * writes that cannot loop forever.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

/* Closes *fd unless it is negative, and sets it to -1. Keeps errno: this runs on error paths. */
static inline void fd_close(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

static inline int fd_take(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

#define AUTO_FD __attribute__((cleanup(fd_close)))

/*
 * Takes the result of a write of at least one byte. Turns 0 into -1 with EIO: a caller that tried
 * again after 0 could loop forever.
 */
static inline ssize_t fd_took(ssize_t n)
{
    if (n != 0)
        return n;
    errno = EIO;
    return -1;
}

/* Writes all `len` bytes at offset `at`; -1 with errno. */
static inline int fd_pwrite_all(int fd, const void *bytes, size_t len, off_t at)
{
    while (len > 0) {
        ssize_t n = fd_took(pwrite(fd, bytes, len, at));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes = (const char *)bytes + n;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}
