/*
 * base/clock.h: monotonic time in nanoseconds, and deadlines in that time.
 */
#pragma once

#include <stdint.h>
#include <time.h>

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

#define DEADLINE_NEVER UINT64_MAX

static inline uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* A point in time `ms` from now; 0 means no limit. */
static inline uint64_t deadline_in_ms(uint64_t ms)
{
    return ms == 0 || ms > UINT64_MAX / NS_PER_MS / 2 ? DEADLINE_NEVER
                                                      : clock_ns() + ms * NS_PER_MS;
}

/* The time left until `deadline`, as a timeout for poll(2): ms, rounded up; -1 = no limit. */
static inline int deadline_poll_ms(uint64_t deadline)
{
    uint64_t now = clock_ns();

    if (deadline == DEADLINE_NEVER)
        return -1;
    if (deadline <= now)
        return 0;
    uint64_t ms = (deadline - now + NS_PER_MS - 1) / NS_PER_MS;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static inline struct timespec deadline_timespec(uint64_t deadline)
{
    return (struct timespec){
        .tv_sec = (time_t)(deadline / NS_PER_S),
        .tv_nsec = (long)(deadline % NS_PER_S),
    };
}
