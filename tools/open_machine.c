#include "tools/open_machine.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "capture/libvirt_save.h"
#include "capture/machine_image.h"
#include "capture/machine_snapshot.h"
#include "tools/phase.h"
#include "vmm/machine_synth.h"

/* The default mix, like a guest's, within the percentages that the user left free. */
#define UNSAID         101U
#define ZERO_PERCENT   30U
#define RANDOM_PERCENT 15U

static int parse_percent(const char *value, unsigned *ret, struct error *err)
{
    uint64_t n;

    if (parse_number(value, 100, &n, err) < 0)
        return -1;
    *ret = (unsigned)n;
    return 0;
}

static int synth_key(struct synth_config *c, const char *key, const char *value, struct error *err)
{
    if (strcmp(key, "zero") == 0)
        return parse_percent(value, &c->zero_percent, err);
    if (strcmp(key, "random") == 0)
        return parse_percent(value, &c->random_percent, err);
    if (strcmp(key, "seed") == 0)
        return parse_number(value, UINT64_MAX, &c->seed, err);
    if (strcmp(key, "dirty") == 0)
        return parse_rate(value, &c->dirty_bytes_per_s, err);
    return err_set(err, ERR_USAGE, "'%.40s': expected zero=, random=, seed= or dirty=", key);
}

static int parse_synth(const char *spec, struct synth_config *c, struct error *err)
{
    char text[200], *rest = text, *word;

    if (strlen(spec) >= sizeof(text))
        return err_set(err, ERR_USAGE, "too long");
    strcpy(text, spec);
    if (parse_size(strsep(&rest, ","), &c->bytes, err) < 0)
        return -1;
    while ((word = strsep(&rest, ","))) {
        char *equals = strchr(word, '=');

        if (!equals)
            return err_set(err, ERR_USAGE, "'%.40s': expected KEY=VALUE", word);
        *equals = 0;
        if (synth_key(c, word, equals + 1, err) < 0)
            return -1;
    }
    if (c->bytes == 0 || !IS_ALIGNED(c->bytes, (uint64_t)RAM_PAGE_SIZE))
        return err_set(err, ERR_USAGE, "size: expected a multiple of 4096");
    if (c->zero_percent == UNSAID)
        c->zero_percent =
            c->random_percent == UNSAID ? ZERO_PERCENT : MIN(ZERO_PERCENT, 100 - c->random_percent);
    if (c->random_percent == UNSAID)
        c->random_percent = MIN(RANDOM_PERCENT, 100 - c->zero_percent);
    if (c->zero_percent + c->random_percent > 100)
        return err_set(err, ERR_USAGE, "zero and random: more than 100 percent together");
    return 0;
}

static int configure_synth(const char *spec, struct synth_config *ret, struct error *err)
{
    *ret = (struct synth_config){.zero_percent = UNSAID, .random_percent = UNSAID, .seed = 1};
    return parse_synth(spec, ret, err) < 0 ? err_in(err, "synth:%.80s", spec) : 0;
}

static int check_synth(const char *spec, struct error *err)
{
    struct synth_config ignored;

    return configure_synth(spec, &ignored, err);
}

static int open_synth(const char *spec, struct machine **ret, struct error *err)
{
    _Atomic uint64_t filled = 0;
    struct synth_config config;
    char size[UNIT_TEXT_LEN];

    if (configure_synth(spec, &config, err) < 0)
        return -1;
    config.ret_filled = &filled;
    phase_set_work(&filled, config.bytes, "generating %s of memory",
                   memory_text(config.bytes, size));
    int rc = machine_synth(&config, ret, err);
    phase_clear();
    return rc < 0 ? err_in(err, "synth:%.80s", spec) : 0;
}

static int parse_file(const char *rest, struct address *ret, struct error *err)
{
    char text[sizeof(ret->text)];
    int len = snprintf(text, sizeof(text), "file:%s", rest);

    if (len < 0 || (size_t)len >= sizeof(text))
        return err_set(err, ERR_USAGE, "file:%.40s…: a path of at most 270 bytes expected", rest);
    return address_parse(text, ret, err);
}

static int open_file(const char *rest, struct machine **ret, struct error *err)
{
    struct address from;

    if (parse_file(rest, &from, err) < 0 || libvirt_save_locate(&from, err) < 0)
        return -1;
    return machine_snapshot_file(&from, PAGES_LOADED, ret, err);
}

static const struct {
    const char *prefix;
    int (*open)(const char *spec, struct machine **ret, struct error *err);
    bool fills;                                        /* memory of its own */
    int (*check)(const char *spec, struct error *err); /* NULL: nothing to check before */
} sources[] = {
    {"file:", open_file, false, NULL},         {"raw:", machine_snapshot_raw, false, NULL},
    {"image:", machine_image, false, NULL},    {"memory:", machine_memory, true, NULL},
    {"synth:", open_synth, true, check_synth},
};

/* The kind that `spec` starts with; what follows is at *ret_rest. -1: none. */
static int find_source(const char *spec, const char **ret_rest)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        size_t len = strlen(sources[i].prefix);

        *ret_rest = spec + len;
        if (strncmp(spec, sources[i].prefix, len) == 0)
            return (int)i;
    }
    return -1;
}

int open_machine(const char *spec, struct machine **ret, struct error *err)
{
    const char *rest;

    phase_set(PHASE_UNLIMITED, "opening %s", spec);
    int i = find_source(spec, &rest);

    if (i < 0)
        return err_set(
            err, ERR_USAGE,
            "source '%.100s': expected file:PATH[,offset=N], raw:DIR, image:[NAME=]PATH, "
            "memory:[NAME=]PATH or synth:SIZE[,…]",
            spec);
    return sources[i].open(rest, ret, err);
}

int open_machine_unchecked(const char *spec, struct machine **ret, struct error *err)
{
    struct address from;

    if (strncmp(spec, "file:", 5) != 0)
        return open_machine(spec, ret, err);
    if (parse_file(spec + 5, &from, err) < 0 || libvirt_save_locate(&from, err) < 0)
        return -1;
    return machine_snapshot_unchecked(&from, PAGES_LOADED, ret, err);
}

int open_machine_check(const char *spec, bool *ret_fills, struct error *err)
{
    const char *rest;
    int i = find_source(spec, &rest);

    *ret_fills = i >= 0 && sources[i].fills;
    return i >= 0 && sources[i].check ? sources[i].check(rest, err) : 0;
}

/* --- snapshots ------------------------------------------------------------------------------- */

int snapshot_spec_read(const char *name, struct snapshot_spec *ret, struct error *err)
{
    struct snapshot_spec s = {.raw = strncmp(name, "raw:", 4) == 0 ? name + 4 : NULL};

    if (!s.raw) {
        if (parse_file(strncmp(name, "file:", 5) == 0 ? name + 5 : name, &s.file, err) < 0)
            return -1;
        int rc = libvirt_save_find(&s.file, &s.libvirt, err);
        if (rc < 0)
            return -1;
        s.is_libvirt = rc > 0;
        if (s.is_libvirt)
            s.file.offset = s.libvirt.stream_offset;
    }
    *ret = s;
    return 0;
}

void snapshot_spec_done(struct snapshot_spec *s)
{
    libvirt_save_done(&s->libvirt);
}

int open_machine_snapshot(const struct snapshot_spec *name, enum snapshot_pages pages,
                          struct machine **ret, struct error *err)
{
    if (name->raw)
        return machine_snapshot_raw(name->raw, ret, err);
    if (name->is_libvirt && libvirt_save_check_stream(&name->libvirt, name->file.file, err) < 0)
        return -1;
    return machine_snapshot_file(&name->file, pages, ret, err);
}
