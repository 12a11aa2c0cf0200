/*
 * transport/pass_fd.h: bytes and descriptors over a UNIX socket, to another process on this host.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"

/* The most descriptors that we accept; the kernel's limit is 253 in one message. */
#define PASS_FDS_MAX 64

/* Sends all bytes, and `fd` with the first one. `fd` stays the caller's; -1: no descriptor. */
MUST_USE int pass_fd_send(int socket, const void *bytes, size_t len, int fd, uint64_t deadline,
                          const struct cancel *cancel, struct error *err);

struct passed_fds {
    int fds[PASS_FDS_MAX];
    size_t n;
};

/*
 * Receives the next bytes, *ret_len of them; 0: the peer has closed. Adds the descriptors that came
 * with them to `fds`, with close-on-exec set; ERR_PEER if they do not all fit.
 */
MUST_USE int pass_fd_receive(int socket, void *bytes, size_t room, uint64_t deadline,
                             const struct cancel *cancel, struct passed_fds *fds, size_t *ret_len,
                             struct error *err);
/* Closes all descriptors in `fds`. */
void passed_fds_close(struct passed_fds *fds);
