/*
 * vmm/guest/counter.c: a guest that counts. Like QEMU's migration test it walks its memory for
 * ever, and increments a number in every page; each page must hold what the last walk has left
 * there.
 *
 * The number is in the page's first and last word, so that half a page is noticed. Its upper bits
 * have the page's own number, so that a page in the place of another is noticed. Fresh memory must
 * be zero.
 */
#include "vmm/guest/program.h"

#define LAST_WORD (GUEST_PAGE_WORDS - 1)

/* A walk takes milliseconds: their number never reaches 2^44. */
#define PAGE_NUMBER_SHIFT 44

struct counter {
    uint64_t walk, page;        /* the next ones */
    uint64_t verified, written; /* pages */
};

/* What walk number `walk` leaves in a page. */
static uint64_t content(uint64_t page, uint64_t walk)
{
    return walk ? page << PAGE_NUMBER_SHIFT | walk : 0;
}

/* Reports a wrong page once: the next write makes it right again. */
static void verify(volatile uint64_t *words, uint64_t page, uint64_t expected)
{
    uint64_t first = words[0], last = words[LAST_WORD];

    if (first != expected)
        guest_say(GUEST_PORT_WRONG_PAGE, page, first, expected);
    else if (last != expected)
        guest_say(GUEST_PORT_WRONG_PAGE, page, last, expected);
}

static void count_page(struct counter *c)
{
    volatile uint64_t *words = guest_words(c->page << GUEST_PAGE_BITS);
    uint64_t next = content(c->page, c->walk + 1);

    verify(words, c->page, content(c->page, c->walk));
    c->verified++;
    words[0] = next;
    words[LAST_WORD] = next;
    guest_wrote(c->page << GUEST_PAGE_BITS);
    c->written++;
}

static void start(void *state, const struct guest_params *params)
{
    *(struct counter *)state = (struct counter){.page = params->first_page};
}

/* From one heartbeat to the next. */
static void step(void *state, const struct guest_params *params)
{
    struct counter *c = state;
    uint64_t now = guest_ticks(), next = now + params->heartbeat_ticks;

    guest_say(GUEST_PORT_HEARTBEAT, now, c->verified, c->written);
    while (guest_ticks() < next) {
        count_page(c);
        if (++c->page < params->first_page + params->n_pages)
            continue;
        c->page = params->first_page;
        c->walk++;
    }
}

const struct guest_program guest_program_counter = {"counter", start, step};
