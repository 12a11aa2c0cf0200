/*
 * tools/vm_memory.h: reads a VM's memory from the command line, in its short and its long form.
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
 * Adds all backends from the command line, main memory included, to `all`. Those that are not
 * mapped into the guest get their memory here; the machine makes the memory of the others.
 */
MUST_USE int vm_memory_read(const struct options *o, struct memory_backends *all,
                            struct vm_memory *ret, struct error *err);
