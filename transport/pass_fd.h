/*
 * transport/pass_fd.h: bytes and descriptors over a UNIX socket, to another process of this host.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"

/* At most so many with one message: the kernel's limit is 253. */
#define PASS_FDS_MAX 64

/* Sends all, and with the first byte the descriptor, which stays the caller's; -1: none. */
MUST_USE int pass_fd_send(int socket, const void *bytes, size_t len, int fd, uint64_t deadline,
                          const struct cancel *cancel, struct error *err);

struct passed_fds {
    int fds[PASS_FDS_MAX];
    size_t n;
};

/*
 * What comes next, *ret_len bytes of it; 0: the peer has closed. Descriptors that came with it are
 * added to `fds` and close at exec; ERR_PEER where there is no room for them.
 */
MUST_USE int pass_fd_receive(int socket, void *bytes, size_t room, uint64_t deadline,
                             const struct cancel *cancel, struct passed_fds *fds, size_t *ret_len,
                             struct error *err);
/* Closes those that are there. */
void passed_fds_close(struct passed_fds *fds);
