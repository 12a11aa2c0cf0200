/*
 * base/json_memory.h: whether memory has run out while JSON was made. jansson says it call by
 * call, and a member that could not be made is simply not there: what is told of it would be cut.
 */
#pragma once

#include <stdbool.h>

/* Before any JSON is made: from here on it is noticed. */
void json_memory_watch(void);

/* Whether any JSON that this thread has made since it was last asked may lack something. */
bool json_memory_ran_out(void);
