/*
 * vmm/guest_options.h: a user's options for a guest, as "NAME[,key=value…]", and the parameters
 * that the guest gets from them. A table has the keys of each guest, with types, ranges and
 * defaults.
 */
#pragma once

#include "vmm/guest/params.h"
#include "vmm/guest_image.h"

struct guest_options {
    const struct guest_image *image;

    /* Each in its key's unit; used by guests that have the key. */
    uint64_t rate_bytes; /* written per second, by all vCPUs together; 0: as fast as they can */
    uint64_t working_set_bytes; /* of all vCPUs together; 0: all memory */
    uint64_t seed;
    uint64_t pattern, write, fill; /* of guest_params */
    uint64_t hot_percent, hot_write_percent, verify_percent;
    uint64_t timer_ms; /* 0: no timer */
};

/* ERR_USAGE: the error names the guests, keys or values that there are. */
MUST_USE int guest_options_parse(const char *text, struct guest_options *ret, struct error *err);

/* What the host knows, the same for all vCPUs. */
struct guest_machine {
    unsigned n_vcpus;
    uint64_t tsc_khz, heartbeat_ms;
};

/* The parameters of one vCPU, which owns these pages; n_pages: at least 2. */
void guest_options_params(const struct guest_options *o, const struct guest_machine *machine,
                          unsigned vcpu, uint64_t first_page, uint64_t n_pages,
                          struct guest_params *ret);
