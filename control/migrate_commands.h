/*
 * control/migrate_commands.h: the commands about migrations, by QEMU's names: docs/qmp.md.
 */
#pragma once

#include "control/qmp_command.h"
#include "control/vm.h"

/* A table for a monitor of this VM. */
struct qmp_table migrate_commands(struct vm *vm);
