/*
 * base/macros.h: the few language features that C lacks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MUST_USE               __attribute__((warn_unused_result))
#define PRINTF(fmt_at, arg_at) __attribute__((format(printf, fmt_at, arg_at)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* `to` is a power of two. */
#define ALIGN_UP(n, to)   (((n) + (to)-1) & ~((__typeof__(n))(to)-1))
#define IS_ALIGNED(n, to) (((n) & ((__typeof__(n))(to)-1)) == 0)

/* Removes const and _Atomic, for an interface that cannot express them but respects them: an iovec
 * to send, free(), jansson's iterators. */
#define UNQUALIFIED(ptr) ((void *)(uintptr_t)(ptr))

/* The object of `type` whose `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)((uintptr_t)(ptr)-offsetof(type, member)))
