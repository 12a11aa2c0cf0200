#include "transport/engine.h"

#include <string.h>

extern const struct engine engine_socket;

/* In order of preference: "auto" is the first. */
static const struct engine *const engines[] = {&engine_socket};

int engine_find(const char *name, const struct engine **ret, struct error *err)
{
    if (strcmp(name, "auto") == 0) {
        *ret = engines[0];
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        if (strcmp(name, engines[i]->name) == 0) {
            *ret = engines[i];
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, "engine '%.32s': this build has: auto, socket", name);
}
