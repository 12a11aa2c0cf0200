#include "drive/drive_advice.h"

#include <string.h>

#include "base/clock.h"
#include "base/json_read.h"

#define PAGE 4096 /* where a VM does not tell the size */

static bool is_on(const struct drive *d, const char *capability)
{
    return json_is_true(json_object_get(d->from.capabilities, capability));
}

static bool is_packed(const struct drive *d)
{
    char method[MONITOR_WORD_MAX];

    json_word(d->from.parameters, "multifd-compression", "none", method, sizeof(method));
    return strcmp(method, "none") != 0 || !is_on(d, "multifd");
}

static unsigned what_is_set(const struct drive *d)
{
    bool slows = is_on(d, "auto-converge") || is_on(d, "dirty-limit");
    bool unlimited = json_count(d->from.parameters, "max-bandwidth") == 0;

    return (unsigned)slows << ADVICE_SLOW | (unsigned)is_packed(d) << ADVICE_COMPRESS |
           (unsigned)unlimited << ADVICE_BANDWIDTH;
}

void drive_advise(struct drive *d)
{
    const json_t *ram = json_object_get(d->migration, "ram");
    const json_t *expected = json_object_get(d->migration, "expected-downtime");
    uint64_t size = json_count(ram, "page-size");
    uint64_t page = size ? size : PAGE;
    const struct advice_round round = {
        .now_ms = clock_ns() / NS_PER_MS,
        .number = json_count(ram, "dirty-sync-count"),
        .written_bytes_per_s = json_count(ram, "dirty-pages-rate") * page,
        .moved_bytes_per_s = json_count(ram, "pages-per-second") * page,
        .expected_downtime_ms =
            expected ? json_count(d->migration, "expected-downtime") : UINT64_MAX,
        .downtime_limit_ms = json_count(d->from.parameters, "downtime-limit"),
        .slowed = json_count(d->migration, "cpu-throttle-percentage") +
                  json_count(d->migration, "vcpu-dirty-limit"),
        .set = what_is_set(d),
    };

    if (advice_feed(&d->advice, &round) && d->config.advise)
        d->config.advise(d->config.arg, &d->advice);
}
