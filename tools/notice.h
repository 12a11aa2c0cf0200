/*
 * tools/notice.h: lines on standard error that are neither a result nor an error. --quiet leaves
 * them out; --verbose adds more.
 */
#pragma once

#include <stdbool.h>

#include "base/macros.h"
#include "migration/stats.h"
#include "settings/settings.h"

/* From here on lines begin with this verb. */
void notice_begin(const char *verb);
const char *notice_verb(void);
void notice_choose(bool quiet, bool verbose);
bool notice_is_quiet(void);

/* "ramjet VERB: …" */
void notice(const char *fmt, ...) PRINTF(1, 2);
/* The same, with --verbose only. */
void detail(const char *fmt, ...) PRINTF(1, 2);

/* Details: what was set, by QEMU's names; and observers of a migration in this process. */
void detail_settings(const struct settings *s);
void detail_status(void *arg, enum migration_status status);
void detail_pass(void *arg, uint64_t pass);
/* What each connection has carried, at the end. */
void detail_channels(const struct migration_snapshot *s);
