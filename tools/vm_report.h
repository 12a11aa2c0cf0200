/*
 * tools/vm_report.h: reports what a guest has said, to its user and to a monitor's clients.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "vmm/guest_report.h"

/* The members of x-query-guest; the caller owns them. `running`: it runs, or ran until now. */
json_t *vm_report_json(struct guest_report *report, bool running);
/* The same for people, with the first errors. */
void vm_report_print(struct guest_report *report);
/* Fails if the guest died, found errors, or said nothing; a user's own payload may say nothing. */
MUST_USE int vm_report_judge(struct guest_report *report, struct error *err);
