#include "transport/engine.h"

#include <stdio.h>
#include <string.h>

extern const struct engine engine_socket;
extern const struct engine engine_uring;

/*
 * In order of preference: "auto" is the first. On Linux 6.18, over TCP on loopback with packets of
 * 512 KiB, io_uring moves 0.95 of the bytes that the socket engine moves, for 1.01 times the CPU
 * time at the sender and 1.11 times at the receiver. With both, a packet is one system call, whose
 * cost is small compared to the copy. See docs/decisions/0006-engines.md.
 */
static const struct engine *const engines[] = {
    &engine_socket,
#ifdef RAMJET_HAVE_URING
    &engine_uring,
#endif
};

const char *engine_auto_reason(void)
{
    if (ARRAY_LEN(engines) == 1)
        return "this build has no other";
    return "io_uring moves 0.95 of its bytes per second for more CPU time (Linux 6.18)";
}

const struct engine *engine_standard(void)
{
    return engines[0];
}

static void list_names(char *ret, size_t len)
{
    size_t at = (size_t)snprintf(ret, len, "auto");

    for (size_t i = 0; i < ARRAY_LEN(engines) && at < len; i++)
        at += (size_t)snprintf(ret + at, len - at, ", %s", engines[i]->name);
}

int engine_find(const char *name, const struct engine **ret, struct error *err)
{
    char names[100];

    if (strcmp(name, "auto") == 0) {
        *ret = engine_standard();
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        if (strcmp(name, engines[i]->name) == 0) {
            *ret = engines[i];
            return 0;
        }
    }
    list_names(names, sizeof(names));
    return err_set(err, ERR_USAGE, "engine '%.32s': this build has: %s", name, names);
}

const struct engine *engine_choose(const struct engine *wanted, bool zero_copy,
                                   char ret_notice[static ENGINE_NOTICE_LEN])
{
    char why[ENGINE_NOTICE_LEN / 2];

    ret_notice[0] = 0;
    if (!wanted->usable || wanted->usable(zero_copy, why, sizeof(why)))
        return wanted;
    snprintf(ret_notice, ENGINE_NOTICE_LEN, "engine %s: %s: using %s", wanted->name, why,
             engine_socket.name);
    return &engine_socket;
}
