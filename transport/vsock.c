#include <stdio.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h>

#include "base/clock.h"
#include "base/fd.h"
#include "transport/scheme.h"
#include "transport/sockaddr.h"

static struct sockaddr_vm sockaddr_of(const struct address *a)
{
    return (struct sockaddr_vm){
        .svm_family = AF_VSOCK, .svm_cid = a->cid, .svm_port = a->vsock_port};
}

static int vsock_dial(const struct address *to, const struct transport_config *config, int *ret_fd,
                      struct error *err)
{
    struct sockaddr_vm sa = sockaddr_of(to);

    return sockaddr_connect((struct sockaddr *)&sa, sizeof(sa), to->text,
                            deadline_in_ms(config->connect_timeout_ms), config->cancel, ret_fd,
                            err);
}

static int vsock_listen(const struct address *at, const struct transport_config *config,
                        struct listener *l, struct error *err)
{
    struct sockaddr_vm sa = sockaddr_of(at);
    socklen_t len = sizeof(sa);
    AUTO_FD int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)config;
    if (fd < 0)
        return err_sys(err, "listen on %s: socket", at->text);
    if (at->vsock_port == 0) /* as for tcp: 0 = any port */
        sa.svm_port = VMADDR_PORT_ANY;
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, LISTENER_BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return err_sys(err, "listen on %s", at->text);
    snprintf(l->text, sizeof(l->text), "vsock:%u:%u", at->cid, sa.svm_port);
    l->fds[l->n++] = fd_take(&fd);
    return 0;
}

const struct scheme_ops scheme_vsock = {.many = true, .dial = vsock_dial, .listen = vsock_listen};
