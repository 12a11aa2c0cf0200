#include "tools/report.h"

#include <stdio.h>

#include <jansson.h>

#include "base/json_memory.h"
#include "base/json_read.h"
#include "base/units.h"
#include "compress/codec.h"
#include "control/query_migrate.h"
#include "ram/digest.h"
#include "tools/line.h"
#include "tools/notice.h"
#include "tools/output.h"
#include "tools/remedy.h"
#include "tools/result.h"

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* Named as query-migrate's members are. */
static json_t *ram_json(const struct migration_snapshot *s)
{
    uint64_t ms = s->total_ms ? s->total_ms : 1;
    json_t *ram = json_object();

    json_object_set_new(ram, "transferred", number(s->wire_bytes));
    json_object_set_new(ram, "remaining", number(s->remaining_bytes));
    json_object_set_new(ram, "total", number(s->total_bytes));
    json_object_set_new(ram, "duplicate", number(s->zero));
    json_object_set_new(ram, "normal", number(s->normal));
    json_object_set_new(ram, "normal-bytes", number(s->normal * RAM_PAGE_SIZE));
    json_object_set_new(ram, "page-size", number(RAM_PAGE_SIZE));
    json_object_set_new(ram, "dirty-pages-rate", number(s->dirty_pages_per_s));
    json_object_set_new(ram, "dirty-sync-count", number(s->rounds));
    json_object_set_new(ram, "dirty-sync-missed-zero-copy", number(s->missed_zero_copy));
    json_object_set_new(ram, "mbps", json_real((double)s->wire_bytes * 8 / 1000 / (double)ms));
    json_object_set_new(ram, "pages-per-second", number((s->normal + s->zero) * 1000 / ms));
    json_object_set_new(ram, "multifd-bytes", number(s->multifd_bytes));
    return ram;
}

/* The host's CPU decides which implementation packs or unpacks. */
static void path_json(enum verb_bit verb, const struct path_snapshot *p, json_t *root)
{
    enum codec_method method = p->method < 0 ? CODEC_NONE : (enum codec_method)p->method;
    const struct codec_ops *codec =
        verb != VERB_RECV ? codec_packing(method, p->level) : codec_unpacking(method);

    if (p->engine)
        json_object_set_new(root, "engine", json_string(p->engine));
    if (p->method >= 0)
        json_object_set_new(root, "multifd-compression", json_string(codec_name(method)));
    if (codec)
        json_object_set_new(root, "codec", json_string(codec->name));
    if (p->tls[0]) {
        json_object_set_new(root, "tls", json_string(p->tls));
        json_object_set_new(root, "ktls-send", json_boolean(p->ktls_send));
    }
}

static json_t *channels_json(const struct migration_snapshot *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->n_channels; i++) {
        const struct channel_snapshot *c = &s->channels[i];
        json_t *channel = json_object();

        json_object_set_new(channel, "id", number(c->id));
        json_object_set_new(channel, "bytes", number(c->bytes));
        json_object_set_new(channel, "packets", number(c->packets));
        json_object_set_new(channel, "normal", number(c->normal));
        json_object_set_new(channel, "zero", number(c->zero));
        json_object_set_new(channel, "wait-ms", number(c->wait_ms));
        json_object_set_new(channel, "codec-ms", number(c->codec_ms));
        json_object_set_new(channel, "copied-sends", number(c->copied_sends));
        json_array_append_new(list, channel);
    }
    return list;
}

static int digest_json(const struct ram_map *ram, const struct cancel *stop, json_t *list,
                       struct error *err)
{
    for (size_t i = 0; i < ram->n; i++) {
        char text[20];
        uint64_t digest;

        if (ram->blocks[i].travel != RAM_TRAVELS || !ram_block_is_here(&ram->blocks[i]))
            continue; /* its memory is not in this process */
        if (ram_digest(&ram->blocks[i], stop, &digest, err) < 0)
            return -1;
        snprintf(text, sizeof(text), "%016llx", (unsigned long long)digest);
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "block", ram->blocks[i].name, "xxh64", text));
    }
    return 0;
}

json_t *report_progress_json(const struct migration_snapshot *s)
{
    json_t *root = json_object();

    json_object_set_new(root, "status", json_string(migration_status_name(s->status)));
    json_object_set_new(root, "total-time", number(s->total_ms));
    if (s->expected_downtime_ms != UINT64_MAX)
        json_object_set_new(root, "expected-downtime", number(s->expected_downtime_ms));
    json_object_set_new(root, "setup-time", number(s->setup_ms));
    if (s->throttle_percent)
        json_object_set_new(root, "cpu-throttle-percentage", number(s->throttle_percent));
    json_object_set_new(root, "ram", ram_json(s));
    return root;
}

json_t *report_json(enum verb_bit verb, const struct migration_snapshot *s, uint64_t cpu_ms)
{
    json_t *root = json_object();

    json_object_set_new(root, "status", json_string(migration_status_name(s->status)));
    json_object_set_new(root, "total-time", number(s->total_ms));
    json_object_set_new(root, "downtime", number(s->downtime_ms));
    /* Only the source has an estimate, and none while it knows no rate. */
    if (verb != VERB_RECV && s->expected_downtime_ms != UINT64_MAX)
        json_object_set_new(root, "expected-downtime", number(s->expected_downtime_ms));
    json_object_set_new(root, "setup-time", number(s->setup_ms));
    json_object_set_new(root, "ram", ram_json(s));
    json_object_set_new(root, "cpu-time-ms", number(cpu_ms));
    json_object_set_new(root, "guest-bytes", number((s->normal + s->zero) * RAM_PAGE_SIZE));
    json_object_set_new(root, "wire-bytes", number(s->wire_bytes));
    path_json(verb, &s->path, root);
    json_object_set_new(root, "channels", channels_json(s));
    if (s->advice.given)
        json_object_set_new(root, "advice", advice_json(&s->advice));
    return root;
}

static int print_json(json_t *root, json_t *digests, const char *file, const struct error *failure,
                      struct error *err)
{
    if (file)
        json_object_set_new(root, "file", result_text(file));
    if (json_array_size(digests))
        json_object_set(root, "digest", digests);
    return result_print(root, failure, err);
}

static void print_path(const struct path_snapshot *p)
{
    if (!p->engine)
        return;
    printf("  path: engine %s", p->engine);
    if (p->method > CODEC_NONE)
        printf(", %s", codec_name((enum codec_method)p->method));
    if (p->tls[0])
        printf(", %s%s", p->tls, p->ktls_send ? " by the kernel" : "");
    putchar('\n');
}

static void print_head(const struct migration_snapshot *s)
{
    char ram[UNIT_TEXT_LEN], time[UNIT_TEXT_LEN], wire[UNIT_TEXT_LEN], rate[UNIT_TEXT_LEN];
    char channels[COUNT_TEXT_LEN];

    printf("%s: %s: %s of RAM in %s, %s on the wire, %s, %s\n", notice_verb(),
           migration_status_name(s->status), memory_text(s->total_bytes, ram),
           time_text(s->total_ms, time), size_text(s->wire_bytes, wire),
           rate_over_text(s->wire_bytes, s->total_ms, rate),
           count_text(s->n_channels, "channel", channels));
}

static int print_text(const struct migration_snapshot *s, const json_t *digests, const char *file,
                      struct error *err)
{
    char block[RAM_BLOCK_NAME], downtime[UNIT_TEXT_LEN], advice[ADVICE_TEXT_LEN];
    size_t i;
    json_t *entry;

    if (json_memory_check(err) < 0)
        return -1;
    print_head(s);
    printf("  pages: %llu with data, %llu zero", (unsigned long long)s->normal,
           (unsigned long long)s->zero);
    if (s->rounds)
        printf("; rounds: %llu", (unsigned long long)s->rounds);
    if (s->downtime_ms)
        printf("; downtime %s", time_text(s->downtime_ms, downtime));
    putchar('\n');
    if (s->advice.given)
        printf("  %s\n", advice_text(&s->advice, remedy_advice, advice));
    print_path(&s->path);
    if (file)
        line_print(stdout, "  file: %s", file);
    json_array_foreach(digests, i, entry)
    {
        json_word(entry, "block", "", block, sizeof(block));
        printf("  %s  %s\n", json_string_value(json_object_get(entry, "xxh64")), block);
    }
    return output_flush(err);
}

/* What was cancelled has totals, too, if anything was moved. */
static bool is_told(const struct migration_snapshot *s, const struct error *failure)
{
    return failure->kind == ERR_CANCELLED && s->wire_bytes > 0;
}

int report(const struct options *options, enum verb_bit verb, const struct migration_snapshot *snap,
           uint64_t cpu_ms, const struct ram_map *ram, const char *file, const struct cancel *stop,
           const struct error *failure, struct error *err)
{
    json_t *digests = json_array();
    int rc = 0;

    if (!failure && options->digest && ram)
        rc = digest_json(ram, stop, digests, err);
    if (rc == 0 && options->json)
        rc = print_json(report_json(verb, snap, cpu_ms), digests, file, failure, err);
    else if (rc == 0 && (!failure || is_told(snap, failure)))
        rc = print_text(snap, digests, file, err);
    json_decref(digests);
    return rc;
}
