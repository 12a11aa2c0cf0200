/*
 * tools/machine_commands.h: the monitor's commands about how our own machine is made, by which two
 * are compared before a guest moves: docs/qmp.md.
 */
#pragma once

#include "control/qmp_command.h"
#include "control/vm.h"

struct machine_commands {
    struct vm *vm;
    bool kvm;
    unsigned cpus;
};

/* `about` must live as long as the monitor. */
struct qmp_table machine_commands(struct machine_commands *about);
