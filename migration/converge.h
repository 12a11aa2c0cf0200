/*
 * migration/converge.h: slows down a guest that writes its memory faster than it can be sent.
 * auto-converge takes a growing share of time from all vCPUs; dirty-limit keeps each vCPU to a
 * rate.
 *
 * Both begin when, in two checks in a row, the guest has written anew more than a given percentage
 * of what was sent in the same time. How the machine slows the guest down is not known here.
 */
#pragma once

#include "migration/machine.h"
#include "migration/runtime_parameters.h"

enum converge_by { CONVERGE_NOT, CONVERGE_THROTTLE, CONVERGE_LIMIT };

/* Used only by the thread in source_run(). */
struct converge {
    enum converge_by by;
    struct machine *machine;
    /* Counted for the next check. */
    uint64_t written_bytes, sent_bytes, ns;
    unsigned n_over; /* checks in a row that found too much written */
    /* In force now. */
    unsigned percent;
    uint64_t vcpu_bytes_per_s;
};

/* Fails where the machine cannot be slowed down in this way. */
MUST_USE int converge_init(struct converge *c, enum converge_by by, struct machine *machine,
                           struct error *err);
/*
 * Call it after each round, with what the guest wrote anew meanwhile, what was sent, and how long
 * that took. Slows the guest down if need be, by the settings as they are now.
 */
void converge_round(struct converge *c, const struct runtime_parameters *live,
                    uint64_t written_bytes, uint64_t sent_bytes, uint64_t ns);
/* Gives the guest all its time back. A second call does nothing. */
void converge_end(struct converge *c);
