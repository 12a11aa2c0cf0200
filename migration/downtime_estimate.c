#include "migration/downtime_estimate.h"

#include "base/clock.h"

/* In a smaller round most of the time is latency and wake-ups. */
#define MEANINGFUL_BYTES (UINT64_C(1) << 20)

void downtime_estimate_update(struct downtime_estimate *p, const struct runtime_parameters *live)
{
    if (p->max_bytes_per_s != live->max_bytes_per_s)
        p->bytes_per_s = 0;
    p->max_bytes_per_s = live->max_bytes_per_s;
    p->downtime_limit_ms = live->downtime_limit_ms;
    p->switchover_bytes_per_s = live->switchover_bytes_per_s;
}

void downtime_estimate_round(struct downtime_estimate *p, uint64_t bytes, uint64_t ns)
{
    if (ns > 0 && (bytes >= MEANINGFUL_BYTES || p->bytes_per_s == 0))
        p->bytes_per_s = (double)bytes * (double)NS_PER_S / (double)ns;
}

uint64_t downtime_estimate_ms(const struct downtime_estimate *p, uint64_t rest_bytes)
{
    double rate = p->switchover_bytes_per_s ? (double)p->switchover_bytes_per_s : p->bytes_per_s;

    if (rest_bytes == 0)
        return 0;
    if (rate <= 0)
        return UINT64_MAX;
    double ms = (double)rest_bytes * 1000 / rate;
    return ms > 1e15 ? UINT64_MAX : (uint64_t)ms;
}

bool downtime_estimate_allows_stop(const struct downtime_estimate *p, uint64_t rest_bytes)
{
    return downtime_estimate_ms(p, rest_bytes) <= p->downtime_limit_ms;
}
