/*
 * base/shared.h: atomic access to plain words in structs that the kernel defines and shares with
 * us. Our own shared words are declared _Atomic.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

_Static_assert(sizeof(_Atomic uint8_t) == 1 && sizeof(_Atomic uint32_t) == 4,
               "an atomic word is laid out as a plain one");

static inline uint8_t shared_load_8(const volatile uint8_t *at, memory_order order)
{
    return atomic_load_explicit((const volatile _Atomic uint8_t *)at, order);
}

static inline void shared_store_8(volatile uint8_t *at, uint8_t value, memory_order order)
{
    atomic_store_explicit((volatile _Atomic uint8_t *)at, value, order);
}

static inline uint32_t shared_load_32(const volatile uint32_t *at, memory_order order)
{
    return atomic_load_explicit((const volatile _Atomic uint32_t *)at, order);
}

static inline void shared_store_32(volatile uint32_t *at, uint32_t value, memory_order order)
{
    atomic_store_explicit((volatile _Atomic uint32_t *)at, value, order);
}
