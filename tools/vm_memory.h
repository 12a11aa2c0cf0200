/*
 * tools/vm_memory.h: what the command line says of a VM's memory, in its short and its long form.
 */
#pragma once

#include "tools/options.h"
#include "vmm/memory_backends.h"

/* What the guest has: main memory, and what else is mapped into it. */
struct vm_memory {
    struct memory_backend_config main, more[MEMORY_MAPPED_MAX];
    size_t n_more;
};

/*
 * Adds all backends that were said, main memory among them, to `all`: those that are not mapped
 * have their memory then, the others are for the machine to make.
 */
MUST_USE int vm_memory_read(const struct options *o, struct memory_backends *all,
                            struct vm_memory *ret, struct error *err);
