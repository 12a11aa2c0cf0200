#include "vmm/guest_options.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"

#define TEXT_MAX 256 /* bytes of a guest's options */

#define PAGE_BYTES      4096
#define SLICE_MS        1
#define LAPIC_TIMER_KHZ 1000000 /* of KVM's own local APIC */

#define RATE_MAX  (UINT64_C(1) << 40)
#define TIMER_MAX 1000 /* ms: the count has 32 bits, and a slow timer checks little */

/* --- values ---------------------------------------------------------------------------------- */

static int take_number(const char *text, uint64_t *ret, struct error *err)
{
    return parse_number(text, UINT64_MAX, ret, err);
}

static int take_time(const char *text, uint64_t *ret, struct error *err)
{
    return parse_duration(text, 1, ret, err);
}

/* --- keys ------------------------------------------------------------------------------------ */

#define WORDS_MAX 4

/* A word's value is its index in `words`. */
struct key {
    const char *name;
    size_t offset; /* of its value in struct guest_options */
    int (*take)(const char *text, uint64_t *ret, struct error *err); /* NULL: words only */
    const char *words[WORDS_MAX];
    uint64_t min, max, unsaid;
};

#define AT(member) offsetof(struct guest_options, member)

static const struct key dirtier_keys[] = {
    {"rate", AT(rate_bytes), parse_rate, {NULL}, 0, RATE_MAX, UINT64_C(100) << 20},
    {"pattern", AT(pattern), NULL, {"sequential", "random", "hot"}, 0, 0, GUEST_PATTERN_RANDOM},
    {"hot", AT(hot_percent), take_number, {NULL}, 1, 99, 10},
    {"hot-writes", AT(hot_write_percent), take_number, {NULL}, 0, 100, 90},
    {"working-set", AT(working_set_bytes), parse_size, {NULL}, 0, UINT64_MAX, 0},
    {"seed", AT(seed), take_number, {NULL}, 0, UINT64_MAX, 0},
    {"write", AT(write), NULL, {"word", "sse", "avx"}, 0, 0, GUEST_WRITE_AVX},
    {"fill", AT(fill), NULL, {"lines", "page"}, 0, 0, GUEST_FILL_PAGE},
    {"verify", AT(verify_percent), take_number, {NULL}, 1, 90, 10},
    {"timer", AT(timer_ms), take_time, {"off"}, 1, TIMER_MAX, 10},
    {0},
};

static const struct key idle_keys[] = {
    {"seed", AT(seed), take_number, {NULL}, 0, UINT64_MAX, 0},
    {"timer", AT(timer_ms), take_time, {"off"}, 1, TIMER_MAX, 10},
    {0},
};

static const struct key no_keys[] = {{0}};

static const struct {
    const char *guest;
    const struct key *keys; /* the last one has no name */
} guests[] = {
    {"counter", no_keys},
    {"dirtier", dirtier_keys},
    {"idle", idle_keys},
};

static const struct key *keys_of(const struct guest_image *image)
{
    for (size_t i = 0; i < ARRAY_LEN(guests); i++) {
        if (strcmp(guests[i].guest, image->name) == 0)
            return guests[i].keys;
    }
    return no_keys;
}

/* Adds a word to a list separated by commas. */
static void append(char *text, size_t size, const char *word)
{
    size_t len = strlen(text);

    snprintf(text + len, size - len, "%s%s", len ? ", " : "", word);
}

static int no_such_key(const struct guest_image *image, const char *name, struct error *err)
{
    char names[TEXT_MAX] = "";

    for (const struct key *k = keys_of(image); k->name; k++)
        append(names, sizeof(names), k->name);
    if (!names[0])
        return err_set(err, ERR_USAGE, "guest %s takes no options, got '%.40s'", image->name, name);
    return err_set(err, ERR_USAGE, "guest %s, '%.40s': expected one of %s", image->name, name,
                   names);
}

static int no_such_word(const struct key *k, const char *text, struct error *err)
{
    char words[TEXT_MAX] = "";

    for (size_t i = 0; i < WORDS_MAX && k->words[i]; i++)
        append(words, sizeof(words), k->words[i]);
    return err_set(err, ERR_USAGE, "'%.40s': expected one of %s", text, words);
}

static int take_value(const struct key *k, const char *text, uint64_t *ret, struct error *err)
{
    uint64_t value;

    for (size_t i = 0; i < WORDS_MAX && k->words[i]; i++) {
        if (strcmp(k->words[i], text) == 0) {
            *ret = i;
            return 0;
        }
    }
    if (!k->take)
        return no_such_word(k, text, err);
    if (k->take(text, &value, err) < 0)
        return -1;
    if (value < k->min || value > k->max)
        return err_set(err, ERR_USAGE, "'%.40s': expected %llu to %llu", text,
                       (unsigned long long)k->min, (unsigned long long)k->max);
    *ret = value;
    return 0;
}

static uint64_t *value_of(struct guest_options *o, const struct key *k)
{
    return (uint64_t *)((char *)o + k->offset);
}

/* --- the whole ------------------------------------------------------------------------------- */

static int take_option(struct guest_options *o, char *option, struct error *err)
{
    char *equals = strchr(option, '=');

    if (equals)
        *equals = 0;
    for (const struct key *k = keys_of(o->image); k->name; k++) {
        if (strcmp(k->name, option) != 0)
            continue;
        if (!equals)
            return err_set(err, ERR_USAGE, "guest %s: expected %s=VALUE", o->image->name, k->name);
        if (take_value(k, equals + 1, value_of(o, k), err) < 0)
            return err_in(err, "guest %s, %s", o->image->name, k->name);
        return 0;
    }
    return no_such_key(o->image, option, err);
}

int guest_options_parse(const char *text, struct guest_options *ret, struct error *err)
{
    struct guest_options o = {0};
    char copy[TEXT_MAX], *rest = copy;

    if (strlen(text) >= sizeof(copy))
        return err_set(err, ERR_USAGE, "guest '%.40s…': expected less than %d bytes", text,
                       TEXT_MAX);
    strcpy(copy, text);
    const char *name = strsep(&rest, ",");
    o.image = guest_image_find(name);
    if (!o.image)
        return err_set(err, ERR_USAGE, "guest '%.40s': expected one of %s", name,
                       guest_image_names());
    for (const struct key *k = keys_of(o.image); k->name; k++)
        *value_of(&o, k) = k->unsaid;
    while (rest) {
        if (take_option(&o, strsep(&rest, ","), err) < 0)
            return -1;
    }
    *ret = o;
    return 0;
}

/* --- what the guest is told ------------------------------------------------------------------ */

/* Of one vCPU, times 256; 0 where there is no rate. With a rate at least 1, as 0 means no limit. */
static uint64_t ticks_per_page(const struct guest_options *o, const struct guest_machine *machine)
{
    double pages_per_s = (double)o->rate_bytes / PAGE_BYTES / machine->n_vcpus;

    if (o->rate_bytes == 0)
        return 0;
    return MAX((uint64_t)((double)machine->tsc_khz * 1000 * 256 / pages_per_s), UINT64_C(1));
}

static uint64_t working_pages(const struct guest_options *o, unsigned n_vcpus, uint64_t n_pages)
{
    uint64_t asked = o->working_set_bytes / PAGE_BYTES / n_vcpus;

    return o->working_set_bytes == 0 ? n_pages : MAX(MIN(asked, n_pages), UINT64_C(1));
}

void guest_options_params(const struct guest_options *o, const struct guest_machine *machine,
                          unsigned vcpu, uint64_t first_page, uint64_t n_pages,
                          struct guest_params *ret)
{
    *ret = (struct guest_params){
        .magic = GUEST_PARAMS_MAGIC,
        .first_page = first_page,
        .n_pages = n_pages,
        .heartbeat_ticks = machine->tsc_khz * machine->heartbeat_ms,
        .vcpu = vcpu,
        .tsc_khz = machine->tsc_khz,
        .timer_count = o->timer_ms * LAPIC_TIMER_KHZ,
        .timer_ticks = o->timer_ms * machine->tsc_khz,
        .seed = o->seed,
        .pattern = o->pattern,
        .write = o->write,
        .fill = o->fill,
        .working_pages = working_pages(o, machine->n_vcpus, n_pages),
        .hot_percent = o->hot_percent,
        .hot_write_percent = o->hot_write_percent,
        .verify_percent = o->verify_percent,
        .ticks_per_page = ticks_per_page(o, machine),
        .slice_ticks = machine->tsc_khz * SLICE_MS,
    };
}
