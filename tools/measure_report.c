#include "tools/measure_report.h"

#include <stdio.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/units.h"
#include "migration/pack_trial.h"
#include "tools/output.h"
#include "tools/report.h"
#include "tools/result.h"

#define TRIAL_MS     500 /* of one core's time, for each way to pack */
#define ROUNDS_SHOWN 5

static const struct {
    enum codec_method method;
    int level;
} tried[] = {{CODEC_ZLIB, 1}, {CODEC_ZSTD, 1}, {CODEC_ZSTD, -1}};

struct findings {
    const struct measurement *seen;
    const struct migration_snapshot *snap;
    size_t n_trials;
    struct pack_trial trials[ARRAY_LEN(tried)];
};

/* A method that this build lacks is left out. */
static int try_packing(struct findings *f, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(tried); i++) {
        struct pack_trial *t = &f->trials[f->n_trials];

        if (f->seen->samples.n == 0 || !codec_packing(tried[i].method, tried[i].level))
            continue;
        if (pack_trial_run(&f->seen->samples, tried[i].method, tried[i].level, TRIAL_MS, NULL, t,
                           err) < 0)
            return -1;
        f->n_trials++;
    }
    return 0;
}

static unsigned packing_threads(const struct findings *f)
{
    return f->snap->n_channels > 0 ? (unsigned)f->snap->n_channels : 1;
}

/* The best that packing so could reach: as fast as the channels pack, and as the path takes what
 * they have packed. */
static uint64_t packed_rate(const struct findings *f, const struct pack_trial *t)
{
    double packs = (double)pack_trial_bytes_per_s(t) * packing_threads(f);
    double path = (double)measurement_bytes_per_s(f->seen) * pack_trial_ratio(t);

    if (f->snap->path.method > CODEC_NONE) /* the path was measured with packed bytes already */
        return (uint64_t)packs;
    return (uint64_t)MIN(packs, path);
}

static uint64_t downtime_us(const struct findings *f)
{
    uint64_t seen = (f->snap->normal + f->snap->zero) * RAM_PAGE_SIZE;

    return measurement_downtime_us(f->seen, f->snap->total_bytes - MIN(seen, f->snap->total_bytes));
}

/* --- for scripts ----------------------------------------------------------------------------- */

static const char *const ends[] = {
    [MEASURED_NOT] = "none",
    [MEASURED_STOPPED] = "source-stopped",
    [MEASURED_SETTLED] = "rounds-settled",
    [MEASURED_TOLD] = "source-told",
};

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *rounds_json(const struct measurement *seen)
{
    json_t *list = json_array();

    for (size_t i = 0; i < MIN(seen->n_rounds, (size_t)MEASURED_ROUNDS_MAX); i++)
        json_array_append_new(list, json_pack("{s:I, s:I}", "time-us",
                                              (json_int_t)(seen->rounds[i].ns / 1000), "bytes",
                                              (json_int_t)seen->rounds[i].bytes));
    return list;
}

static json_t *packing_json(const struct findings *f)
{
    json_t *list = json_array();

    for (size_t i = 0; i < f->n_trials; i++) {
        const struct pack_trial *t = &f->trials[i];

        json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:I, s:f, s:I, s:I}", "method",
                                              codec_name(t->method), "level", t->level, "codec",
                                              t->codec, "sampled-bytes", (json_int_t)t->bytes,
                                              "ratio", pack_trial_ratio(t), "core-bytes-per-s",
                                              (json_int_t)pack_trial_bytes_per_s(t), "bytes-per-s",
                                              (json_int_t)packed_rate(f, t)));
    }
    return list;
}

static json_t *findings_json(const struct findings *f)
{
    const struct measurement *seen = f->seen;
    json_t *root = json_object();

    json_object_set_new(root, "end", json_string(ends[seen->end]));
    json_object_set_new(root, "total-time", number(measurement_ns(seen) / NS_PER_MS));
    if (measurement_tells_downtime(seen))
        json_object_set_new(root, "expected-downtime-us", number(downtime_us(f)));
    json_object_set_new(root, "bytes-per-s", number(measurement_bytes_per_s(seen)));
    json_object_set_new(root, "dirty-bytes-per-s", number(measurement_dirty_bytes_per_s(seen)));
    json_object_set_new(root, "rounds", number(seen->n_rounds));
    json_object_set_new(root, "first-rounds", rounds_json(seen));
    json_object_set_new(root, "compression", packing_json(f));
    return root;
}

static int print_json(const struct findings *f, uint64_t cpu_ms, const struct error *failure,
                      struct error *err)
{
    json_t *root = report_json(VERB_RECV, f->snap, cpu_ms);

    if (!failure) /* nothing has moved: no script may take it for that */
        json_object_set_new(root, "status", json_string("measured"));
    json_object_set_new(root, "dry-run", findings_json(f));
    return result_print(root, failure, err);
}

/* --- for people ------------------------------------------------------------------------------ */

static void print_verdict(const struct findings *f)
{
    char time[UNIT_TEXT_LEN], downtime[UNIT_TEXT_LEN], writes[UNIT_TEXT_LEN], takes[UNIT_TEXT_LEN];
    uint64_t ms = MAX(measurement_ns(f->seen) / NS_PER_MS, UINT64_C(1));

    if (f->seen->end == MEASURED_NOT)
        printf("dry run: no switch-over came in %s: the guest writes %s, and this path takes %s\n",
               time_text(ms, time), rate_text(measurement_dirty_bytes_per_s(f->seen), writes),
               rate_text(measurement_bytes_per_s(f->seen), takes));
    else if (!measurement_tells_downtime(f->seen))
        printf("dry run: the guest could have moved in %s, with a downtime within the source's "
               "limit\n",
               time_text(ms, time));
    else
        printf("dry run: the guest could have moved in %s with about %s of downtime\n",
               time_text(ms, time), short_time_text(downtime_us(f), downtime));
}

static void print_end(const struct measurement *seen)
{
    static const char *const texts[] = {
        [MEASURED_NOT] = "the migration was ended before its switch-over",
        [MEASURED_STOPPED] = "it had been stopped for the switch-over, which was refused at once",
        [MEASURED_SETTLED] = "it was never stopped: every round of a second would have fitted",
        [MEASURED_TOLD] = "it was never stopped: the source has said when it would have been",
    };

    printf("  the guest goes on at the source: %s\n", texts[seen->end]);
}

static void print_rounds(const struct measurement *seen)
{
    char bytes[UNIT_TEXT_LEN], time[UNIT_TEXT_LEN], n[COUNT_TEXT_LEN];
    size_t kept = MIN(seen->n_rounds, (size_t)MEASURED_ROUNDS_MAX);

    if (seen->n_rounds == 0)
        return;
    printf("  %s:", count_text(seen->n_rounds, "round", n));
    for (size_t i = 0; i < MIN(kept, (size_t)ROUNDS_SHOWN); i++)
        printf("%s %s in %s", i ? "," : "", size_text(seen->rounds[i].bytes, bytes),
               short_time_text(seen->rounds[i].ns / 1000, time));
    if (seen->n_rounds > ROUNDS_SHOWN)
        printf("; the last one: %s in %s", size_text(seen->last.bytes, bytes),
               short_time_text(seen->last.ns / 1000, time));
    putchar('\n');
}

static void print_rates(const struct findings *f)
{
    char takes[UNIT_TEXT_LEN], writes[UNIT_TEXT_LEN], ram[UNIT_TEXT_LEN];

    printf("  %s of memory; pages came at up to %s", memory_text(f->snap->total_bytes, ram),
           rate_text(measurement_bytes_per_s(f->seen), takes));
    if (measurement_dirty_bytes_per_s(f->seen))
        printf("; the guest writes %s", rate_text(measurement_dirty_bytes_per_s(f->seen), writes));
    putchar('\n');
}

static void print_packing(const struct findings *f)
{
    char core[UNIT_TEXT_LEN], all[UNIT_TEXT_LEN], n[COUNT_TEXT_LEN];
    uint64_t now = measurement_bytes_per_s(f->seen);

    for (size_t i = 0; i < f->n_trials; i++) {
        const struct pack_trial *t = &f->trials[i];
        uint64_t rate = packed_rate(f, t);

        printf("  with %s:%d it would be %.1f times fewer bytes; a core packs %s: at most %s with "
               "%s%s\n",
               codec_name(t->method), t->level, pack_trial_ratio(t),
               rate_text(pack_trial_bytes_per_s(t), core), rate_text(rate, all),
               count_text(packing_threads(f), f->snap->n_channels ? "channel" : "thread", n),
               rate < now ? ", slower than it was" : "");
    }
}

static void print_channels(const struct migration_snapshot *s)
{
    char bytes[UNIT_TEXT_LEN], rate[UNIT_TEXT_LEN], wait[UNIT_TEXT_LEN];

    for (size_t i = 0; i < s->n_channels; i++) {
        const struct channel_snapshot *c = &s->channels[i];

        printf("  channel %u: %s, %s, %s at barriers\n", c->id, size_text(c->bytes, bytes),
               rate_over_text(c->bytes, s->total_ms, rate), time_text(c->wait_ms, wait));
    }
}

static int print_text(const struct findings *f, struct error *err)
{
    print_verdict(f);
    print_end(f->seen);
    print_rates(f);
    print_rounds(f->seen);
    print_channels(f->snap);
    print_packing(f);
    return output_flush(err);
}

int measure_report(const struct options *options, const struct migration_snapshot *snap,
                   const struct measurement *seen, uint64_t cpu_ms, const struct error *failure,
                   struct error *err)
{
    struct findings f = {.seen = seen, .snap = snap};

    if (try_packing(&f, err) < 0)
        return -1;
    if (options->json)
        return print_json(&f, cpu_ms, failure, err);
    return seen->begun_ns ? print_text(&f, err) : 0; /* else there was nothing to measure */
}
