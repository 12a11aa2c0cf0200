/*
 * migration/converge.h: slows a guest down that writes faster than it can be moved: auto-converge
 * takes time from all its vCPUs, more and more of it; dirty-limit keeps each vCPU to a rate.
 *
 * Both begin when the guest has twice in a row written anew more than so many percent of what was
 * sent in the same time; how the machine does it is not known here.
 */
#pragma once

#include "migration/live.h"
#include "migration/machine.h"

enum converge_by { CONVERGE_NOT, CONVERGE_THROTTLE, CONVERGE_LIMIT };

/* One thread's, the one in outgoing_run(). */
struct converge {
    enum converge_by by;
    struct machine *machine;
    /* Of the present check. */
    uint64_t written_bytes, sent_bytes, ns;
    unsigned n_over; /* checks in a row that found too much */
    /* In force. */
    unsigned percent;
    uint64_t vcpu_bytes_per_s;
};

/* Fails where the machine cannot be slowed so. */
MUST_USE int converge_init(struct converge *c, enum converge_by by, struct machine *machine,
                           struct error *err);
/*
 * Behind each round: what the guest wrote anew while it took place, what was sent, in whole pages,
 * and how long that took. Puts in force what it comes to, by the settings as they are now.
 */
void converge_round(struct converge *c, const struct outgoing_live *live, uint64_t written_bytes,
                    uint64_t sent_bytes, uint64_t ns);
/* The guest has all its time again. Twice is fine. */
void converge_end(struct converge *c);
