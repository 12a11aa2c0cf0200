#include "transport/tcp_probe.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "transport/sockaddr.h"

#define PATIENCE_NS NS_PER_S
#define LOOK_MS     2

#define FLAGS_AT 13 /* in the header of TCP */
#define FLAG_RST 4

/* Lets a segment with RST pass, and nothing else. */
static bool hear_refusals_only(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, FLAG_RST, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
}

/* An answer has come, and the filter has dropped it. */
static bool was_answered(int fd)
{
    uint32_t counters[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(counters);

    return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, counters, &len) == 0 &&
           counters[SK_MEMINFO_DROPS] > 0;
}

/* The errno of a connection that begins now, or 0. */
static int await_refusal(int fd)
{
    uint64_t deadline = clock_ns() + PATIENCE_NS;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int sys = 0;
    socklen_t len = sizeof(sys);

    while (clock_ns() < deadline && !was_answered(fd)) {
        if (poll(&p, 1, LOOK_MS) <= 0)
            continue;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &len);
        break;
    }
    return sys;
}

static int probe(const struct addrinfo *ai, struct error *err)
{
    AUTO_FD int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || !hear_refusals_only(fd))
        return 0;
    int sys = connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 ? 0 : errno;
    if (sys == EINPROGRESS || sys == EINTR)
        sys = await_refusal(fd);
    if (sys == 0)
        return 0;
    errno = sys;
    return sockaddr_failed("connect to", ai->ai_addr, ai->ai_addrlen, err);
}

int tcp_probe(const struct addrinfo *list, struct error *err)
{
    for (; list; list = list->ai_next) {
        if (probe(list, err) == 0)
            return 0;
    }
    return -1;
}
