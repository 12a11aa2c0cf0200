/*
 * vmm/guest/env.h: what a payload needs of its machine: it talks to its host, reads its clock,
 * waits, touches its memory. Outside registers.c, timer.c and fill.c payloads use nothing else of
 * the machine. So they also run in an ordinary thread, where there is no KVM: built with
 * GUEST_HOSTED, hosted.c does all of this.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "vmm/guest/params.h"
#include "vmm/guest/ports.h"

#define GUEST_PAGE_BITS  12
#define GUEST_PAGE_BYTES 4096
#define GUEST_PAGE_WORDS 512

#ifdef GUEST_HOSTED

void guest_say(uint16_t port, uint64_t a, uint64_t b, uint64_t c);
uint64_t guest_ticks(void);
volatile uint64_t *guest_words(uint64_t address);
void guest_wrote(uint64_t address);

#else

/* A payload's entry (main.c). */
__attribute__((noreturn)) void guest_main(const struct guest_params *params);

static inline void guest_say(uint16_t port, uint64_t a, uint64_t b, uint64_t c)
{
    __asm__ volatile("outl %%eax, %%dx" : : "a"(0), "d"(port), "D"(a), "S"(b), "c"(c) : "memory");
}

static inline uint64_t guest_ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/*
 * The memory at a guest address, up to the end of its page. Volatile, because a migration may
 * change it while we are paused.
 */
static inline volatile uint64_t *guest_words(uint64_t address)
{
    return (volatile uint64_t *)address;
}

/* Tells that the page of this address was written. Does nothing here, as KVM notices. */
static inline void guest_wrote(uint64_t address)
{
    (void)address;
}

#endif

/* Mixes a number's bits (the finalizer of SplitMix64). */
static inline uint64_t guest_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}
