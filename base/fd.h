/*
 * base/fd.h: file descriptors that close themselves, and whose handing over is visible; and writes
 * that end.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

/* Closes *fd unless it is negative, and makes it so. errno survives: this runs on error paths. */
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
 * What a write of more than nothing has answered. Nothing taken and no error is one: whoever tried
 * again would do so for ever.
 */
static inline ssize_t fd_took(ssize_t n)
{
    if (n != 0)
        return n;
    errno = EIO;
    return -1;
}

/* All of it, at its place; -1 with errno. */
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
