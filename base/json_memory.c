#include "base/json_memory.h"

#include <jansson.h>
#include <stdlib.h>

static _Thread_local bool ran_out;

static void *allocate(size_t size)
{
    void *p = malloc(size);

    if (!p)
        ran_out = true;
    return p;
}

void json_memory_watch(void)
{
    json_set_alloc_funcs(allocate, free);
}

bool json_memory_ran_out(void)
{
    bool found = ran_out;

    ran_out = false;
    return found;
}
