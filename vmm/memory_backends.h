/*
 * vmm/memory_backends.h: the memory backends that a runner has, by id. One that is mapped into the
 * guest is a RAM block of the machine, which owns its memory. The memory of the others is here;
 * they may come and go at any time, even while a migration runs: no migration includes them.
 *
 * One thread at a time, except memory_backends_deactivate() and memory_backends_activate(): any
 * thread.
 */
#pragma once

#include "vmm/memory_backend.h"

struct memory_backends;

MUST_USE int memory_backends_new(struct memory_backends **ret, struct error *err);
/* NULL is fine. Memory that is mapped into the guest stays. */
void memory_backends_free(struct memory_backends *all);

/* Makes a backend's memory; for a mapped one, only notes the backend. ERR_USAGE: the id is taken,
 * or there are too many. */
MUST_USE int memory_backends_add(struct memory_backends *all,
                                 const struct memory_backend_config *config, struct error *err);
/* A backend's file is not deleted. ERR_USAGE: there is no such backend, or the guest uses it. */
MUST_USE int memory_backends_remove(struct memory_backends *all, const char *id, struct error *err);

size_t memory_backends_n(const struct memory_backends *all);
/* i < n, in the order in which they were added. Valid until one is added or removed. */
const struct memory_backend_config *memory_backends_at(const struct memory_backends *all, size_t i);
/* NULL where there is none of this id. */
const struct memory_backend_config *memory_backends_find(const struct memory_backends *all,
                                                         const char *id);
/* The i-th backend's memory; NULL where the machine owns it. Valid until the backend is removed. */
const struct ram_block *memory_backends_block(const struct memory_backends *all, size_t i);

/* For a program that replaces this one and makes the backends again: deactivates memory that is not
 * mapped, and activates it again where the replacement has failed. */
void memory_backends_deactivate(struct memory_backends *all);
void memory_backends_activate(struct memory_backends *all);
