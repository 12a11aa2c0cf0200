#include "capture/raw_names.h"

#include <stdio.h>
#include <string.h>

#define BLOCK_PREFIX "ram."

void raw_block_name(const char *block, char ret[static RAW_NAME_MAX])
{
    char *to = ret + sprintf(ret, BLOCK_PREFIX);

    for (; *block; block++) {
        if (*block == '/' || *block == '%')
            to += sprintf(to, "%%%02X", (unsigned)*block);
        else
            *to++ = *block;
    }
    *to = 0;
}

bool raw_name_is_ours(const char *name)
{
    return strcmp(name, RAW_STREAM) == 0 || strncmp(name, BLOCK_PREFIX, strlen(BLOCK_PREFIX)) == 0;
}
