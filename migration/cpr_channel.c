#include "migration/cpr_channel.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "transport/pass_fd.h"

/* --- the source ------------------------------------------------------------------------------ */

static int send_piece(int fd, struct buf *piece, uint64_t deadline, const struct cancel *cancel,
                      struct error *err)
{
    int rc = pass_fd_send(fd, piece->data, piece->len, -1, deadline, cancel, err);

    piece->len = 0;
    return rc;
}

static int send_state(int fd, const struct cpr_state *s, struct buf *piece, uint64_t deadline,
                      const struct cancel *cancel, struct error *err)
{
    static const uint8_t passed = CPR_PASSED_BYTE;

    if (cpr_state_encode_head(piece, err) < 0)
        return -1;
    for (size_t i = 0; i < s->n; i++) {
        if (cpr_state_encode_entry(&s->entries[i], piece, err) < 0 ||
            send_piece(fd, piece, deadline, cancel, err) < 0 ||
            pass_fd_send(fd, &passed, 1, s->entries[i].fd, deadline, cancel, err) < 0)
            return -1;
    }
    if (cpr_state_encode_end(piece, err) < 0)
        return -1;
    return send_piece(fd, piece, deadline, cancel, err);
}

/* The destination sends nothing: it only closes the connection. */
static int await_close(int fd, uint64_t deadline, const struct cancel *cancel, struct error *err)
{
    char byte;

    shutdown(fd, SHUT_WR);
    if (cancel_poll(cancel, fd, POLLIN, deadline, err) < 0)
        return err_in(err, "waiting for the destination to listen");
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    if (n < 0)
        return err_sys(err, "the destination has closed the connection");
    return n == 0 ? 0 : err_set(err, ERR_PEER, "the destination sent something, expected nothing");
}

int cpr_channel_send(const struct address *to, const struct cpr_state *state,
                     const struct transport_config *config, struct error *err)
{
    struct buf piece = {0};
    AUTO_FD int fd = -1;

    if (transport_dial(to, config, &fd, err) < 0)
        return -1;
    int rc = send_state(fd, state, &piece, deadline_in_ms(config->stall_timeout_ms), config->cancel,
                        err);
    buf_done(&piece);
    if (rc == 0)
        rc = await_close(fd, deadline_in_ms(config->connect_timeout_ms), config->cancel, err);
    return rc < 0 ? err_in(err, "%s", to->text) : 0;
}

/* --- the destination ------------------------------------------------------------------------- */

static int await_source(struct listener *at, const struct transport_config *config, int *ret_fd,
                        struct error *err)
{
    do {
        if (cancel_poll(config->cancel, at->fds[0], POLLIN, DEADLINE_NEVER, err) < 0 ||
            listener_accept(at, config, ret_fd, err) < 0)
            return -1;
    } while (*ret_fd < 0);
    return 0;
}

/* Receives the whole list. A list that is too long is refused before all of it has come. */
static int receive_list(int fd, const struct transport_config *config, struct passed_fds *fds,
                        struct cpr_state *ret, struct error *err)
{
    uint64_t deadline = deadline_in_ms(config->stall_timeout_ms);
    uint8_t bytes[CPR_STATE_MAX];
    size_t have = 0, len;
    int complete = 0;

    while (complete == 0) {
        if (have == sizeof(bytes))
            return err_set(err, ERR_PEER, "a list of more than %d bytes", CPR_STATE_MAX);
        if (pass_fd_receive(fd, bytes + have, sizeof(bytes) - have, deadline, config->cancel, fds,
                            &len, err) < 0)
            return -1;
        if (len == 0)
            return err_set(err, ERR_PEER, "the list is cut off after %zu bytes", have);
        have += len;
        complete = cpr_state_decode(bytes, have, CPR_PASSED, ret, err);
    }
    return complete < 0 ? -1 : 0;
}

static int receive(int fd, const struct transport_config *config, struct passed_fds *fds,
                   struct cpr_state *ret, struct error *err)
{
    if (receive_list(fd, config, fds, ret, err) < 0)
        return -1;
    if (fds->n != ret->n)
        return err_set(err, ERR_PEER, "%zu descriptors for %zu entries", fds->n, ret->n);
    for (size_t i = 0; i < ret->n; i++)
        ret->entries[i].fd = fd_take(&fds->fds[i]);
    fds->n = 0;
    return 0;
}

int cpr_channel_receive(struct listener *at, const struct transport_config *config,
                        struct cpr_state *ret, int *ret_fd, struct error *err)
{
    struct passed_fds fds = {.n = 0};
    AUTO_FD int fd = -1;

    if (await_source(at, config, &fd, err) < 0 || receive(fd, config, &fds, ret, err) < 0) {
        passed_fds_close(&fds);
        return err_in(err, "%s", at->text);
    }
    *ret_fd = fd_take(&fd);
    return 0;
}
