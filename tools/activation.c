#include "tools/activation.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/units.h"
#include "transport/transport.h"

#define ADDRESS "systemd:"
#define FIRST   (STDERR_FILENO + 1)
#define FDS_MAX 1024
#define NO_SUCH "; it is started by a service's .socket, see systemd.socket(5)"

bool activation_is_address(const char *text)
{
    return strncmp(text, ADDRESS, strlen(ADDRESS)) == 0;
}

/* How many descriptors were handed over. A child inherits the variables, but not what they mean. */
static int count(const struct activation *a, pid_t us, uint64_t *ret, struct error *err)
{
    uint64_t pid;

    if (!a->pid || !a->fds)
        return err_set(err, ERR_USAGE,
                       "no LISTEN_PID and LISTEN_FDS: no socket was handed over" NO_SUCH);
    if (parse_number(a->pid, INT_MAX, &pid, err) < 0)
        return err_in(err, "LISTEN_PID");
    if (pid != (uint64_t)us)
        return err_set(err, ERR_USAGE,
                       "LISTEN_PID %llu: the sockets are for another process, this is %d",
                       (unsigned long long)pid, (int)us);
    if (parse_number(a->fds, FDS_MAX, ret, err) < 0)
        return err_in(err, "LISTEN_FDS");
    return *ret > 0 ? 0
                    : err_set(err, ERR_USAGE, "LISTEN_FDS 0: no socket was handed over" NO_SUCH);
}

/* Takes the first of the names that colons separate. Missing ones are "". */
static bool next_is(const char **names, const char *wanted)
{
    size_t len = *names ? strcspn(*names, ":") : 0;
    bool same = strlen(wanted) == len && (len == 0 || strncmp(*names, wanted, len) == 0);

    if (*names)
        *names = (*names)[len] ? *names + len + 1 : NULL;
    return same;
}

int activation_find(const struct activation *a, pid_t us, const char *address,
                    int ret_fds[static LISTENER_MAX], size_t *ret_n, struct error *err)
{
    const char *wanted = address + strlen(ADDRESS), *names = a->names;
    uint64_t n_fds;
    size_t n = 0;

    if (count(a, us, &n_fds, err) < 0)
        return err_in(err, "%s", address);
    for (uint64_t i = 0; i < n_fds; i++) {
        if (!next_is(&names, wanted) && wanted[0])
            continue;
        if (n == LISTENER_MAX)
            return err_set(err, ERR_USAGE, "%s: more than %d sockets", address, LISTENER_MAX);
        ret_fds[n++] = FIRST + (int)i;
    }
    if (n == 0)
        return err_set(err, ERR_USAGE, "%s: expected one of the names '%.100s'", address,
                       a->names ? a->names : "");
    *ret_n = n;
    return 0;
}

int activation_listen(const char *address, struct listener *ret, struct error *err)
{
    const struct activation a = {
        .pid = getenv("LISTEN_PID"),
        .fds = getenv("LISTEN_FDS"),
        .names = getenv("LISTEN_FDNAMES"),
    };
    int fds[LISTENER_MAX];
    uint64_t all;
    size_t n;

    if (activation_find(&a, getpid(), address, fds, &n, err) < 0 ||
        count(&a, getpid(), &all, err) < 0)
        return -1;
    for (int fd = FIRST; fd < FIRST + (int)all; fd++) {
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return err_sys(err, "%s: descriptor %d of LISTEN_FDS", address, fd);
    }
    return transport_listen_on(fds, n, address, ret, err);
}
