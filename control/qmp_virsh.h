/*
 * control/qmp_virsh.h: a monitor that libvirt holds, through its client: one run of virsh for one
 * command. virsh is looked for when it is needed; no library of libvirt is. No event comes this
 * way.
 *
 * What virsh prints may be anything: it is read with limits on size and time, and nothing of what
 * the user or a monitor says passes a shell.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/cancel.h"
#include "base/error.h"

/* The domain of "libvirt:DOMAIN", or NULL: it is another address. */
const char *qmp_virsh_domain(const char *address);

/*
 * Asks whether virsh reaches libvirt at all, by virsh's own choice of it. *ret_here: whether that
 * is on this host. ERR_SYSTEM, with ETIMEDOUT at the deadline; ERR_PEER with virsh's words;
 * ERR_CANCELLED.
 */
MUST_USE int qmp_virsh_open(uint64_t deadline, const struct cancel *cancel, bool *ret_here,
                            struct error *err);
/*
 * Executes a command: *ret is the monitor's whole answer, an object, the caller's. `arguments`,
 * NULL or an object, stay the caller's. Fails as qmp_virsh_open(); a refusal by the monitor is no
 * failure here.
 */
MUST_USE int qmp_virsh_execute(const char *domain, const char *command, json_t *arguments,
                               uint64_t deadline, const struct cancel *cancel, json_t **ret,
                               struct error *err);
