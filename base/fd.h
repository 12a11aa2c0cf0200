/*
 * base/fd.h: file descriptors that close themselves, and whose handing over is visible.
 */
#pragma once

#include <errno.h>
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
