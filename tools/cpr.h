/*
 * tools/cpr.h: memory that outlives the program it was made by. One `ramjet vm` takes it over from
 * another: from what ran in this process before (mode cpr-exec), or from another process (mode
 * cpr-transfer); and hands it to the next program in this process.
 */
#pragma once

#include "migration/parameters.h"
#include "ram/block.h"
#include "stream/cpr_state.h"
#include "transport/address.h"

/* The number of the memfd with the list of descriptors, in the environment of the next program. */
#define CPR_ENVIRONMENT "RAMJET_CPR_STATE"

struct cpr {
    enum migration_mode mode; /* MODE_NORMAL: no memory was handed over */
    struct cpr_state state;
    int source; /* the connection to who has handed it over, or -1 */
};
#define CPR_NONE ((struct cpr){.source = -1})

/* What a program that ran here before has left, if there was one. Before any thread is started: the
 * environment is cleared of it. ERR_PEER: it cannot be so. */
MUST_USE int cpr_inherit(struct cpr *ret, struct error *err);
/*
 * Listens at a UNIX socket, says so on standard output, and waits for a VM that hands its memory
 * over; a signal ends the wait. Between interrupt_block() and interrupt_start().
 */
MUST_USE int cpr_await(const char *at, uint64_t stall_timeout_ms, struct cpr *ret,
                       struct error *err);
/* We listen for the guest itself: its source may come. */
void cpr_listening(struct cpr *c);
/* ERR_PEER where memory was handed over that this VM has no block for. */
MUST_USE int cpr_all_taken(const struct cpr *c, struct error *err);
void cpr_done(struct cpr *c);

/*
 * Runs `command` (base/words.h) in this process, with the descriptors of all shared memory. Returns
 * where that fails: then everything is as it was.
 */
MUST_USE int cpr_exec(const char *command, const struct ram_map *ram, struct error *err);
