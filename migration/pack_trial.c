#include "migration/pack_trial.h"

#include <string.h>

#include "base/clock.h"

/* Runs are taken in this order of steps, so that a trial that ends early has seen all parts. */
#define STEP 7U

static uint64_t thread_cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int pack(struct packer *p, const struct page_samples *samples, size_t i,
                struct pack_trial *t, struct error *err)
{
    const uint8_t *out;
    size_t len, packed;
    const uint8_t *bytes = page_samples_run(samples, i, &len);

    if (len == 0)
        return 0;
    uint64_t since = thread_cpu_ns();
    memcpy(packer_input(p), bytes, len); /* as a channel does, since the guest goes on writing */
    if (packer_pack(p, len, &out, &packed, err) < 0)
        return -1;
    t->cpu_ns += thread_cpu_ns() - since;
    t->bytes += len;
    t->packed_bytes += packed;
    return 0;
}

static int pack_all(struct packer *p, const struct page_samples *samples, uint64_t cpu_ms,
                    const struct cancel *stop, struct pack_trial *t, struct error *err)
{
    for (size_t first = 0; first < STEP; first++) {
        for (size_t i = first; i < samples->n; i += STEP) {
            if (stop && cancel_requested(stop))
                return err_set(err, ERR_CANCELLED, "cancelled");
            if (t->cpu_ns >= cpu_ms * NS_PER_MS)
                return 0;
            if (pack(p, samples, i, t, err) < 0)
                return -1;
        }
    }
    return 0;
}

int pack_trial_run(const struct page_samples *samples, enum codec_method method, int level,
                   uint64_t cpu_ms, const struct cancel *stop, struct pack_trial *ret,
                   struct error *err)
{
    const struct codec_ops *codec = codec_packing(method, level);
    struct pack_trial t = {.method = method, .level = level};
    struct packer *p;

    if (!codec)
        return err_set(err, ERR_USAGE, "%s at level %d: not in this build", codec_name(method),
                       level);
    t.codec = codec->name;
    if (codec->packer_new(level, &p, err) < 0)
        return -1;
    int rc = pack_all(p, samples, cpu_ms, stop, &t, err);
    packer_free(p);
    if (rc == 0)
        *ret = t;
    return rc;
}

double pack_trial_ratio(const struct pack_trial *t)
{
    return t->packed_bytes ? (double)t->bytes / (double)t->packed_bytes : 1;
}

uint64_t pack_trial_bytes_per_s(const struct pack_trial *t)
{
    return t->cpu_ns ? (uint64_t)((double)t->bytes * (double)NS_PER_S / (double)t->cpu_ns) : 0;
}
