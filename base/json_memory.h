/*
 * base/json_memory.h: whether memory ran out while JSON was built. jansson reports it only per
 * call, and a member that could not be built is simply missing: the output would be incomplete.
 */
#pragma once

#include <stdbool.h>

/* Call before any JSON is built: failures are noticed from then on. */
void json_memory_watch(void);

/* Whether JSON that this thread has built since its last call of this may lack something. */
bool json_memory_ran_out(void);
