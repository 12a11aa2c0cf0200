#include "capture/snapshot_name.h"

#include <stdio.h>
#include <string.h>

static const char safe[] = "abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789.-";

static void name_vm(const struct configuration *vm, char ret[static MACHINE_NAME_MAX + 1])
{
    _Static_assert(MACHINE_NAME_MAX >= UUID_TEXT_LEN, "either fits");

    if (vm->has_uuid && uuid_is_set(&vm->uuid)) {
        uuid_format(&vm->uuid, ret);
        return;
    }
    strcpy(ret, vm->machine[0] ? vm->machine : "vm");
    for (char *c = ret; *c; c++) {
        if (!strchr(safe, *c))
            *c = '_';
    }
}

void snapshot_name(const struct timespec *at, const struct configuration *vm, unsigned number,
                   char ret[static SNAPSHOT_NAME_LEN])
{
    char when[32], who[MACHINE_NAME_MAX + 1], again[16] = "";
    struct tm utc;

    if (!gmtime_r(&at->tv_sec, &utc)) /* a year that no calendar has */
        utc = (struct tm){.tm_mday = 1};
    strftime(when, sizeof(when), "%Y%m%dT%H%M%S", &utc);
    name_vm(vm, who);
    if (number > 1)
        snprintf(again, sizeof(again), "-%u", number);
    snprintf(ret, SNAPSHOT_NAME_LEN, "%s.%03ldZ_%s%s.snap", when, at->tv_nsec / 1000000 % 1000, who,
             again);
}
