/*
 * vmm/guest/counter.c: a guest that counts. In the manner of QEMU's migration test it walks its
 * memory for ever, and increments a number in every page; each page has to hold what the last walk
 * has left there.
 *
 * The number stands in the page's first and in its last word, so that half a page is noticed, with
 * the page's own number in its upper bits, so that a page in another's place is. Fresh memory
 * is zero, and must be.
 */
#include "vmm/guest/env.h"

#define LAST_WORD (GUEST_PAGE_WORDS - 1)

/* Walks take milliseconds: 2^44 of them do not end. */
#define PAGE_NUMBER_SHIFT 44

struct counts {
    uint64_t verified, written; /* pages */
};

/* What the walk of this number leaves in a page. */
static uint64_t content(uint64_t page, uint64_t walk)
{
    return walk ? page << PAGE_NUMBER_SHIFT | walk : 0;
}

/* Says it once: what is written next is right again. */
static void verify(volatile uint64_t *words, uint64_t page, uint64_t expected)
{
    uint64_t first = words[0], last = words[LAST_WORD];

    if (first != expected)
        guest_say(GUEST_PORT_WRONG_PAGE, page, first, expected);
    else if (last != expected)
        guest_say(GUEST_PORT_WRONG_PAGE, page, last, expected);
}

static void count_page(uint64_t page, uint64_t walk, struct counts *counts)
{
    volatile uint64_t *words = guest_words(page << GUEST_PAGE_BITS);
    uint64_t next = content(page, walk + 1);

    verify(words, page, content(page, walk));
    counts->verified++;
    words[0] = next;
    words[LAST_WORD] = next;
    counts->written++;
}

void guest_main(const struct guest_params *params)
{
    uint64_t first = params->first_page, end = first + params->n_pages;
    uint64_t interval = params->heartbeat_ticks, next = 0;
    struct counts counts = {0};

    if (params->magic != GUEST_PARAMS_MAGIC)
        __builtin_trap();
    for (uint64_t walk = 0;; walk++) {
        for (uint64_t page = first; page < end; page++) {
            uint64_t now = guest_ticks();

            if (now >= next) {
                guest_say(GUEST_PORT_HEARTBEAT, now, counts.verified, counts.written);
                next = now + interval;
            }
            count_page(page, walk, &counts);
        }
    }
}
