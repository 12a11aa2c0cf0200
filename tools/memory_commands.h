/*
 * tools/memory_commands.h: the monitor's commands about memory backends, and about which RAM blocks
 * migrate: docs/qmp.md.
 */
#pragma once

#include "control/qmp_command.h"
#include "control/vm.h"
#include "vmm/memory_backends.h"

struct memory_commands {
    struct vm *vm;
    struct memory_backends *backends; /* used by the monitor's thread alone while it runs */
};

/* `about` must live as long as the monitor. */
struct qmp_table memory_commands(struct memory_commands *about);
