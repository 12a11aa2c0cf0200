/*
 * A name, '=', a value: as in --set, at a source and at a destination.
 */
#include <string.h>

#include "settings/gate.h"
#include "tests/fuzz/fuzz.h"

#define TEXT_MAX 8192

static void let_in(const struct settings *change, uint64_t world)
{
    struct settings now, before;
    struct refusal refusal;
    struct error err;

    settings_init(&now);
    before = now;
    if (gate_set(&now, change, world, &refusal, &err) < 0)
        PROMISE(memcmp(&now, &before, sizeof(now)) == 0 && rule_of(refusal.rule));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static char text[TEXT_MAX + 1];
    struct settings change;
    struct refusal refusal;
    struct error err;

    if (len > TEXT_MAX)
        return 0;
    memcpy(text, data, len);
    text[len] = 0;
    char *equals = strchr(text, '=');
    if (!equals)
        return 0;
    *equals = 0;
    settings_init(&change);
    if (settings_say(&change, text, equals + 1, &refusal, &err) < 0) {
        PROMISE(rule_of(refusal.rule) && err.kind == ERR_USAGE);
        return 0;
    }
    let_in(&change, IN_SET(FACT_SOURCE));
    let_in(&change, IN_SET(FACT_DESTINATION) | IN_SET(FACT_WAITING));
    return 0;
}
