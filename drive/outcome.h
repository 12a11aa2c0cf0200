/*
 * drive/outcome.h: what a VM's answer to query-migrate says about the end of its migration.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

enum outcome { OUTCOME_UNDER_WAY, OUTCOME_COMPLETED, OUTCOME_FAILED, OUTCOME_CANCELLED };

/* Every status but completed, failed and cancelled is under way; so is each status of postcopy. */
enum outcome outcome_of(const json_t *migration);
bool outcome_is_status(const json_t *migration, const char *status);
/* What failed, in the VM's own words, made printable; "" if it does not say. Returns `ret`. */
const char *outcome_reason(const json_t *migration, char *ret, size_t size);
/* Whether a reason only says that the other end has gone or refused: the cause is there. "" too. */
bool outcome_is_echo(const char *reason);
