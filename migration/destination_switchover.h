/*
 * migration/destination_switchover.h: the destination takes the guest over, and tells the source
 * whether it has it.
 */
#pragma once

#include "migration/destination_state.h"

/*
 * Everything has come and is checked: hands the guest over to the target, and gives the source its
 * verdict.
 */
MUST_USE int destination_switch_over(struct destination *m, struct error *err);
