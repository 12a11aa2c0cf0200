#include "vmm/guest/hosted.h"

#include "vmm/guest/fill.h"
#include "vmm/guest/registers.h"
#include "vmm/guest/timer.h"

/* A payload knows one machine only, its own: here that is the thread's, during a step. */
static _Thread_local struct guest_host *host;

void guest_host_start(struct guest_host *h, const struct guest_program *program, void *state,
                      const struct guest_params *params)
{
    host = h;
    program->start(state, params);
    host = NULL;
}

void guest_host_step(struct guest_host *h, const struct guest_program *program, void *state,
                     const struct guest_params *params)
{
    host = h;
    program->step(state, params);
    host = NULL;
}

/* --- env.h ----------------------------------------------------------------------------------- */

void guest_say(uint16_t port, uint64_t a, uint64_t b, uint64_t c)
{
    host->say(host->arg, port, (const uint64_t[GUEST_MESSAGE_WORDS]){a, b, c});
}

uint64_t guest_ticks(void)
{
    return host->ticks(host->arg);
}

volatile uint64_t *guest_words(uint64_t address)
{
    if (address < host->memory_bytes && address % sizeof(uint64_t) == 0)
        return (volatile uint64_t *)(host->memory + address);
    host->is_stray = true;
    host->stray_address = address;
    return host->nowhere;
}

void guest_wrote(uint64_t address)
{
    if (address < host->memory_bytes)
        host->wrote(host->arg, address >> GUEST_PAGE_BITS);
}

/* --- what a thread does not have ------------------------------------------------------------- */

void fill_words(uint64_t with, volatile uint64_t *words, uint64_t value, uint64_t n)
{
    (void)with;
    for (uint64_t i = 0; i < n; i++, value += FILL_STEP)
        words[i] = value;
}

/* The compiler and the library use all registers of a thread: none can be watched. */
void registers_init(struct registers *r, uint64_t seed)
{
    *r = (struct registers){.seed = seed};
}

void registers_check(const struct registers *r)
{
    (void)r;
}

void registers_wait(const struct registers *r, uint64_t ticks)
{
    (void)r;
    host->wait(host->arg, ticks);
}

void timer_init(struct timer *t, const struct guest_params *params)
{
    *t = (struct timer){.params = params};
}

void timer_check(struct timer *t, uint64_t now)
{
    (void)t;
    (void)now;
}
