/*
 * transport/path.h: whether a silence comes from the peer or from the network. A network may fail
 * for a while; if it is back within the stall timeout, the connection survives. For TCP only: other
 * kinds of connection have no network path.
 *
 * While nothing moves, the kernel asks the peer's machine for a sign of life: it retransmits what
 * is not acknowledged, or probes an idle connection. Both are called questions here. tcp.c makes
 * the kernel ask often. See docs/decisions/0015-outages.md.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* One direction of a connection, used by the thread that waits for it. Zeroed is fine. */
struct path {
    uint32_t segments; /* segments that had come from the peer's machine at the last look */
    uint64_t heard_ns; /* time of the last look that found new segments */
    uint64_t back_ns;  /* time of the last look that found the path back after a loss */
    uint64_t since_ns; /* while lost: when the path last worked */
    uint64_t grace_ns; /* while lost: time for the kernel's next question and its answer */
    unsigned asked;    /* questions without an answer at the last look */
    bool lost;         /* questions have had no answer for too long */
};

enum silence { SILENCE_BORNE, SILENCE_OF_PEER, SILENCE_OF_PATH };

/*
 * How many bytes the socket has taken from us, counted from an arbitrary start. Bytes that the
 * kernel adds when it encrypts count too, once it has added them. False: there is no number at the
 * moment, or the socket is not TCP.
 */
MUST_USE bool path_position(int fd, uint64_t *ret);

/* The time between two questions that we set in the kernel, for a given stall timeout. */
unsigned path_question_s(uint64_t limit_ms);

/*
 * Called at every tick of a wait in which nothing has moved since `since`. `limit_ns` is the
 * longest silence; `idle`: the peer may be silent as long as its machine answers.
 */
MUST_USE enum silence path_judge(struct path *p, int fd, bool sending, uint64_t since, bool idle,
                                 uint64_t limit_ns);
