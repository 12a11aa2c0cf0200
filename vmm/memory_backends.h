/*
 * vmm/memory_backends.h: the memory backends that a runner has, by id. One that is mapped into the
 * guest is a RAM block of the machine, whose memory it is; the others have theirs here, and come
 * and go at any time, also while a migration runs: no migration is about them.
 *
 * One thread at a time, but for memory_backends_yield() and memory_backends_claim(): any thread.
 */
#pragma once

#include "vmm/memory_backend.h"

struct memory_backends;

MUST_USE int memory_backends_new(struct memory_backends **ret, struct error *err);
/* NULL is fine. What is mapped into the guest stays with it. */
void memory_backends_free(struct memory_backends *all);

/* Makes one, or, where it is mapped, notes it. ERR_USAGE: an id that is there, or too many. */
MUST_USE int memory_backends_add(struct memory_backends *all,
                                 const struct memory_backend_config *config, struct error *err);
/* A file stays behind. ERR_USAGE: there is none, or the guest uses it. */
MUST_USE int memory_backends_remove(struct memory_backends *all, const char *id, struct error *err);

size_t memory_backends_n(const struct memory_backends *all);
/* i < n, in the order in which they came; until one is added or removed. */
const struct memory_backend_config *memory_backends_at(const struct memory_backends *all, size_t i);
/* NULL where there is none of this id. */
const struct memory_backend_config *memory_backends_find(const struct memory_backends *all,
                                                         const char *id);
/* Its memory: NULL where it is the machine's. Until it is removed. */
const struct ram_block *memory_backends_block(const struct memory_backends *all, size_t i);

/* Around a program that takes the place of this one and makes them again: what is not mapped is
 * nobody's meanwhile. */
void memory_backends_yield(struct memory_backends *all);
void memory_backends_claim(struct memory_backends *all);
