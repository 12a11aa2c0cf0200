/*
 * tools/vm_report.h: what a guest has said, as its user and a monitor's client are told.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "vmm/guest_report.h"

/* The members of x-query-guest; the caller's to json_decref(). `running`: it does, or did. */
json_t *vm_report_json(struct guest_report *report, bool running);
/* The same for people, with the first errors. */
void vm_report_print(struct guest_report *report);
/* What speaks against the guest: that it died, was wrong, or has said nothing, which only a user's
 * own may. */
MUST_USE int vm_report_judge(struct guest_report *report, struct error *err);
