/*
 * transport/path.h: whether a silence is the peer's or the network's. A network may be gone for a
 * while: as long as it is back within the stall timeout, a connection survives that. Of TCP only:
 * other kinds of connection have no path that comes and goes.
 *
 * While nothing moves the kernel asks the peer's machine for a sign of life: it sends again what is
 * not acknowledged, or probes a connection at rest. tcp.c sees to it that it does so often. See
 * docs/decisions/0015-outages.md.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* One direction of a connection, used by the thread that waits there. Zeroed is fine. */
struct path {
    uint32_t segments; /* that had come from the peer's machine at the last look */
    uint64_t heard_ns; /* the look that found more of them than the one before */
    uint64_t back_ns;  /* the same, after the path had been lost */
    uint64_t since_ns; /* while lost: the last sign of what is missing */
    uint64_t grace_ns; /* while lost: the kernel's next question has its answer by then */
    unsigned asked;    /* questions without an answer at the last look */
    bool lost;         /* questions have been without an answer for too long */
};

enum silence { SILENCE_BORNE, SILENCE_OF_PEER, SILENCE_OF_PATH };

/*
 * How far what we send has come in its connection: bytes, from an arbitrary point on. What a kernel
 * that encrypts adds is counted, too, once it has. False: no figure at the moment, or no TCP.
 */
MUST_USE bool path_position(int fd, uint64_t *ret);

/* Between two questions, for a stall timeout: what the kernel is told. */
unsigned path_question_s(uint64_t limit_ms);

/*
 * At every tick of a wait in which nothing has moved since `since`. `limit_ns` is the longest
 * silence; `idle`: the peer may be silent as long as its machine answers.
 */
MUST_USE enum silence path_judge(struct path *p, int fd, bool sending, uint64_t since, bool idle,
                                 uint64_t limit_ns);
