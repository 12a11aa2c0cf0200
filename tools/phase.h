/*
 * tools/phase.h: what the program is doing now. A phase that lasts longer than two seconds gets a
 * line on standard error, so that no silence leaves a user in doubt: what is waited for, and for
 * how long at most. There is one phase at a time, in the whole program; any thread may change it.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/macros.h"
#include "tools/options.h"

/* How long a phase may last. */
struct phase_limit {
    uint64_t ms;        /* 0: for ever */
    const char *option; /* that sets it; NULL: there is no limit, and none is told */
};
#define PHASE_UNLIMITED ((struct phase_limit){0, NULL})

/* From here on phases are told, in lines that begin with "ramjet VERB: still "; PROGRESS_NEVER
 * silences them. `verb` must live on. */
void phase_start(const char *verb, enum progress_mode mode);
/* Begins a phase; the one before is over. The text goes on after "still". */
void phase_set(struct phase_limit limit, const char *fmt, ...) PRINTF(2, 3);
/* The same for work of which `total` bytes are to be done: told again every ten seconds, with what
 * is in *done. */
void phase_set_work(const _Atomic uint64_t *done, uint64_t total, const char *fmt, ...)
    PRINTF(3, 4);
/* Nothing is waited for. */
void phase_clear(void);
/* Ends the telling. Without phase_start() it does nothing. */
void phase_stop(void);
