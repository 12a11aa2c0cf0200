/*
 * tools/cpr.h: guest memory that outlives the program that made it. A `ramjet vm` takes it over
 * from the program that ran in this process before (mode cpr-exec) or from another process (mode
 * cpr-transfer), and can hand it to the next program in this process.
 */
#pragma once

#include "ram/block.h"
#include "settings/parameters.h"
#include "stream/cpr_state.h"
#include "transport/address.h"

/* The number of the memfd with the list of descriptors, in the environment of the next program. */
#define CPR_ENVIRONMENT "RAMJET_CPR_STATE"

struct cpr {
    enum migration_mode mode; /* MODE_NORMAL: no memory was handed over */
    struct cpr_state state;
    int source; /* the connection to the VM that handed memory over, or -1 */
};
#define CPR_NONE ((struct cpr){.source = -1})

/* Takes over what the previous program in this process left, if there was one. Call it before any
 * thread starts: it changes the environment. ERR_PEER: what was left is not valid. */
MUST_USE int cpr_inherit(struct cpr *ret, struct error *err);
/*
 * Listens at a UNIX socket, says so on standard output, and waits for a VM that hands its memory
 * over; a signal ends the wait. Call it between interrupt_block() and interrupt_start().
 */
MUST_USE int cpr_await(const char *at, uint64_t stall_timeout_ms, struct cpr *ret,
                       struct error *err);
/* Tells the source that we now listen for the guest itself. */
void cpr_listening(struct cpr *c);
/* ERR_PEER if memory was handed over for a block that this VM does not have. */
MUST_USE int cpr_all_taken(const struct cpr *c, struct error *err);
void cpr_done(struct cpr *c);

/*
 * Runs `command` (base/words.h) in this process, with the descriptors of all shared memory. Returns
 * only on failure; then everything is as it was.
 */
MUST_USE int cpr_exec(const char *command, const struct ram_map *ram, struct error *err);
