/*
 * control/vm_commands.h: the commands about a VM itself, and about how fast its guest writes:
 * docs/qmp.md.
 */
#pragma once

#include "control/qmp_command.h"
#include "control/vm.h"

/* Tables for a monitor of this VM. */
struct qmp_table vm_commands(struct vm *vm);
struct qmp_table dirty_rate_commands(struct vm *vm);
