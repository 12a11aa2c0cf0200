/*
 * settings/advice.h: whether a migration's rounds will ever become small enough to stop the guest,
 * and what would help. It knows figures only: who measures them, and in which words a user can
 * change something, is for its callers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What would help. */
enum advice_help {
    ADVICE_SLOW,      /* auto-converge or dirty-limit */
    ADVICE_COMPRESS,  /* pack the pages */
    ADVICE_BANDWIDTH, /* a higher limit of the bandwidth */
    ADVICE_DOWNTIME,  /* a higher limit of the downtime: enough_ms */
    ADVICE_N,
};

/* What has been found after a round, while the guest runs. */
struct advice_round {
    uint64_t now_ms; /* by any clock */
    uint64_t number; /* of the round that begins; one that was fed already is ignored */
    uint64_t written_bytes_per_s, moved_bytes_per_s; /* guest memory */
    uint64_t expected_downtime_ms, downtime_limit_ms;
    uint64_t slowed; /* how the guest is slowed down: while it changes, the rounds may yet shrink */
    unsigned set;    /* what is in force or cannot be had: bits by enum advice_help */
};

/* All zeros at first. */
struct advice {
    bool given; /* the figures below hold, as they were then */
    uint64_t written_bytes_per_s, moved_bytes_per_s;
    uint64_t expected_downtime_ms, downtime_limit_ms;
    unsigned helps;     /* bits by enum advice_help */
    uint64_t enough_ms; /* a downtime limit that would do, as the guest writes now */

    /* What is judged by. */
    uint64_t number, slowed;
    uint64_t best_ms, best_at_ms; /* the smallest expected downtime, and when it was seen */
    unsigned n_not_better;        /* rounds since then */
};

/*
 * True once: when two rounds in a row, of two seconds or more, have not brought the downtime at
 * least a tenth nearer to the limit.
 */
bool advice_feed(struct advice *a, const struct advice_round *r);

#define ADVICE_TEXT_LEN 480
/* How a user changes each of them; that of ADVICE_DOWNTIME is followed by a time. */
typedef const char *const advice_words[ADVICE_N];
/* The settings by QEMU's names. */
extern advice_words advice_settings;
/* A sentence. Returns `ret`. */
const char *advice_text(const struct advice *a, advice_words words,
                        char ret[static ADVICE_TEXT_LEN]);
