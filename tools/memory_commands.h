/*
 * tools/memory_commands.h: the monitor's commands about memory backends, and about which RAM blocks
 * migrations are about: docs/qmp.md.
 */
#pragma once

#include "control/qmp_command.h"
#include "control/vm.h"
#include "vmm/memory_backends.h"

struct memory_commands {
    struct vm *vm;
    struct memory_backends *backends; /* the monitor's thread's, while it lives */
};

/* `about` is used while the monitor lives. */
struct qmp_table memory_commands(struct memory_commands *about);
