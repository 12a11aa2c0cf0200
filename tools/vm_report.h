/*
 * tools/vm_report.h: reports what a guest has said, to its user and to a monitor's clients.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "tools/options.h"
#include "vmm/guest_report.h"

/* The line that tells the program that started us that the guest runs, with so much memory: every
 * vCPU has been heard. */
void vm_report_running(const struct options *o, uint64_t bytes);
/* The members of x-query-guest; the caller owns them. `running`: it runs, or ran until now. */
json_t *vm_report_json(struct guest_report *report, bool running);
/* The same for people, with the first errors. */
void vm_report_print(struct guest_report *report);
/* One line of it on standard error, for a VM in this run state. */
void vm_report_tell(struct guest_report *report, const char *state);
/* Fails if the guest died, found errors, or said nothing; a user's own payload may say nothing. */
MUST_USE int vm_report_judge(struct guest_report *report, struct error *err);
