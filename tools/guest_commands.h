/*
 * tools/guest_commands.h: the monitor's commands about our own guests: docs/qmp.md.
 */
#pragma once

#include "control/qmp_command.h"
#include "control/vm.h"
#include "vmm/guest_report.h"

struct guest_commands {
    struct vm *vm;
    struct guest_report *report;
};

/* `about` must live as long as the monitor. */
struct qmp_table guest_commands(struct guest_commands *about);
