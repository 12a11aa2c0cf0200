/*
 * tools/activation.h: sockets that a service manager has opened, and handed to this program when it
 * started it. The protocol is sd_listen_fds(3)'s: LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES; the
 * descriptors follow standard error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "transport/listener.h"

/* The environment's variables; NULL: not set. */
struct activation {
    const char *pid, *fds, *names;
};

/* Whether the text is an address of such sockets: "systemd:" or "systemd:NAME". */
bool activation_is_address(const char *text);

/*
 * The descriptors of that address: those with its name or, without a name, all. They are numbers
 * only: nothing is checked about what they are. ERR_USAGE.
 */
MUST_USE int activation_find(const struct activation *a, pid_t us, const char *address,
                             int ret_fds[static LISTENER_MAX], size_t *ret_n, struct error *err);

/* The same with this process's environment, as a listener. From here on no program that we execute
 * would have any of the sockets. */
MUST_USE int activation_listen(const char *address, struct listener *ret, struct error *err);
