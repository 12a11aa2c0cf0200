#include "settings/parameters.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/words.h"
#include "compress/codec.h"

#define KI 1024LL
#define MI (KI * KI)

#define NO_ANNOUNCE "there is no network card here that could announce itself"
#define NO_POSTCOPY "there is no postcopy in this build; migrate by precopy"
#define NO_DISKS    "there are no disks here; move them by other means"
#define GONE        "QEMU has removed it; use multifd and multifd-compression"

/* --- the names of enums ---------------------------------------------------------------------- */

static const char *const methods[] = {
    [CODEC_NONE] = "none",     [CODEC_ZLIB] = "zlib", [CODEC_ZSTD] = "zstd",
    [CODEC_QPL] = "qpl",       [CODEC_UADK] = "uadk", [CODEC_QATZIP] = "qatzip",
    [CODEC_QATZIP + 1] = NULL,
};

static bool is_method_built(uint64_t value)
{
    return codec_built((enum codec_method)value);
}

static const char *const modes[] = {
    [MODE_NORMAL] = "normal",
    [MODE_CPR_REBOOT] = "cpr-reboot",
    [MODE_CPR_TRANSFER] = "cpr-transfer",
    [MODE_CPR_EXEC] = "cpr-exec",
    [MODE_CPR_EXEC + 1] = NULL,
};

static const char *const zero_pages[] = {"none", "legacy", "multifd", NULL};
#define ZERO_PAGES_MULTIFD 2

static const char *const switch_names[] = {"off", "on", NULL};

/* --- the table ------------------------------------------------------------------------------- */

#define RANGE(low, high, value)        .min = low, .max = high, .standard.number = value
#define NUMBER(low, high, value)       .kind = KIND_NUMBER, RANGE(low, high, value)
#define SIZE(low, high, value)         .kind = KIND_SIZE, RANGE(low, high, value)
#define POWER_OF_TWO(low, high, value) .power_of_two = true, SIZE(low, high, value)
#define LEVEL(low, high, value)        .kind = KIND_LEVEL, .min = low, .max = high, .standard.level = value
#define ENUM(list, last, value)        .kind = KIND_ENUM, .names = list, RANGE(0, last, value)
#define SWITCH(value)                  .kind = KIND_BOOL, .names = switch_names, RANGE(0, 1, value)
#define TEXT(longest)                  .kind = KIND_TEXT, .max = longest, .standard.text = ""
#define WORDS                          .kind = KIND_WORDS, .max = WORDS_LEN_MAX, .standard.text = ""
#define LIST                           .kind = KIND_LIST, .standard.text = ""

#define SOURCE .side = SIDE_SOURCE
#define BOTH   .side = SIDE_BOTH
#define EACH   .side = SIDE_EACH
#define LIVE   .side = SIDE_SOURCE, .live = true

/* Ranges and defaults: QEMU, migration/options.c, tried at their edges on a running 11.1. */
const struct parameter_info parameters[] = {
    [PARAM_ANNOUNCE_INITIAL] = {"announce-initial", "4.0", NUMBER(0, 100000, 50), SOURCE,
                                .unit = "ms", .effect = "before the first self-announcement",
                                .unsupported = NO_ANNOUNCE},
    [PARAM_ANNOUNCE_MAX] = {"announce-max", "4.0", NUMBER(0, 100000, 550), SOURCE, .unit = "ms",
                            .effect = "longest gap between self-announcements",
                            .unsupported = NO_ANNOUNCE},
    [PARAM_ANNOUNCE_ROUNDS] = {"announce-rounds", "4.0", NUMBER(0, 1000, 5), SOURCE,
                               .unit = "packets", .effect = "self-announcements",
                               .unsupported = NO_ANNOUNCE},
    [PARAM_ANNOUNCE_STEP] = {"announce-step", "4.0", NUMBER(1, 10000, 100), SOURCE, .unit = "ms",
                             .effect = "by which each gap is longer", .unsupported = NO_ANNOUNCE},
    [PARAM_THROTTLE_TRIGGER_THRESHOLD] = {"throttle-trigger-threshold", "5.0", NUMBER(1, 100, 50),
                                          LIVE, .unit = "%",
                                          .effect = "of what was sent is dirty again: slow down"},
    [PARAM_CPU_THROTTLE_INITIAL] = {"cpu-throttle-initial", "2.7", NUMBER(1, 99, 20), LIVE,
                                    .unit = "%", .effect = "of the vCPUs' time is taken at first"},
    [PARAM_CPU_THROTTLE_INCREMENT] = {"cpu-throttle-increment", "2.7", NUMBER(1, 99, 10), LIVE,
                                      .unit = "%",
                                      .effect =
                                          "of the vCPUs' time is taken in addition each time"},
    [PARAM_CPU_THROTTLE_TAILSLOW] = {"cpu-throttle-tailslow", "5.1", SWITCH(0), LIVE,
                                     .effect = "smaller steps at the end"},
    [PARAM_MAX_CPU_THROTTLE] = {"max-cpu-throttle", "3.1", NUMBER(1, 99, 99), LIVE, .unit = "%",
                                .effect = "taken at most; not below cpu-throttle-initial"},
    [PARAM_TLS_CREDS] = {"tls-creds", "2.7", TEXT(4095), BOTH,
                         .effect = "credentials; empty: no TLS",
                         .ours = "a folder with QEMU's file names, not the id of an object"},
    [PARAM_TLS_HOSTNAME] = {"tls-hostname", "2.7", TEXT(255), SOURCE,
                            .effect = "the name in the destination's certificate; empty: the "
                                      "host of the address"},
    [PARAM_TLS_AUTHZ] = {"tls-authz", "4.0", TEXT(1023), .side = SIDE_DESTINATION,
                         .effect = "the name that the source's certificate must have; empty: any",
                         .ours = "a pattern of the distinguished name, not the id of an object"},
    [PARAM_MAX_BANDWIDTH] = {"max-bandwidth", "2.8", SIZE(0, UINT64_MAX, 128 * MI), LIVE,
                             .unit = "bytes/s", .effect = "over all connections; 0: no limit"},
    [PARAM_AVAIL_SWITCHOVER_BANDWIDTH] =
        {"avail-switchover-bandwidth", "8.2", SIZE(0, UINT64_MAX, 0), LIVE, .unit = "bytes/s",
         .effect = "the path's bandwidth in the switch-over; 0: as measured"},
    [PARAM_DOWNTIME_LIMIT] = {"downtime-limit", "2.8", NUMBER(0, 2000000, 300), LIVE, .unit = "ms",
                              .effect = "stop the guest when the rest takes no longer"},
    [PARAM_X_CHECKPOINT_DELAY] = {"x-checkpoint-delay", "2.8", NUMBER(0, UINT32_MAX, 20000), LIVE,
                                  .unit = "ms", .effect = "between checkpoints of x-colo",
                                  .unsupported = "there is no replication in this build"},
    [PARAM_MULTIFD_CHANNELS] = {"multifd-channels", "4.0", NUMBER(1, 255, 2), BOTH,
                                .effect = "connections for pages"},
    [PARAM_MULTIFD_COMPRESSION] = {"multifd-compression", "5.0",
                                   ENUM(methods, CODEC_QATZIP, CODEC_NONE), BOTH,
                                   .is_built = is_method_built,
                                   .effect = "method that packets are packed with"},
    [PARAM_MULTIFD_ZLIB_LEVEL] = {"multifd-zlib-level", "5.0", NUMBER(0, 9, 1), SOURCE,
                                  .effect = "0: stored, 1: fastest, 9: smallest"},
    [PARAM_MULTIFD_ZSTD_LEVEL] = {"multifd-zstd-level", "5.0", LEVEL(-131072, 20, 1), SOURCE,
                                  .effect = "the lower the faster; 0: zstd's own default",
                                  .ours = "negative levels too, which every zstd unpacks; QEMU "
                                          "takes 0 to 20"},
    [PARAM_MULTIFD_QATZIP_LEVEL] = {"multifd-qatzip-level", "9.2", NUMBER(1, 9, 1), SOURCE,
                                    .effect = "level of method qatzip",
                                    .unsupported = "method qatzip is not in this build; use zlib"},
    [PARAM_XBZRLE_CACHE_SIZE] = {"xbzrle-cache-size", "2.11",
                                 POWER_OF_TWO(4096, UINT64_C(1) << 63, 64 * MI), LIVE,
                                 .unit = "bytes", .effect = "memory for pages as they were sent",
                                 .unsupported = "there is no xbzrle in this build; use "
                                                "multifd-compression"},
    [PARAM_MAX_POSTCOPY_BANDWIDTH] = {"max-postcopy-bandwidth", "3.0", SIZE(0, UINT64_MAX, 0), LIVE,
                                      .unit = "bytes/s",
                                      .effect = "of pages that no vCPU waits for; 0: no limit",
                                      .unsupported = NO_POSTCOPY},
    [PARAM_BLOCK_BITMAP_MAPPING] = {"block-bitmap-mapping", "5.2", LIST, EACH,
                                    .effect = "aliases of disks and their dirty bitmaps",
                                    .unsupported = NO_DISKS},
    [PARAM_VCPU_DIRTY_LIMIT] = {"vcpu-dirty-limit", "8.1", NUMBER(1, UINT64_MAX, 1), LIVE,
                                .unit = "MiB/s",
                                .effect = "that a vCPU may dirty under dirty-limit"},
    [PARAM_X_VCPU_DIRTY_LIMIT_PERIOD] =
        {"x-vcpu-dirty-limit-period", "8.1", NUMBER(1, 1000, 1000), SOURCE, .unit = "ms",
         .effect = "between measurements under dirty-limit",
         .unsupported = "each round is a measurement in this build; leave it alone"},
    [PARAM_MODE] = {"mode", "8.2", ENUM(modes, MODE_CPR_EXEC, MODE_NORMAL), BOTH,
                    .effect = "migrate, or restart the program around the guest"},
    [PARAM_ZERO_PAGE_DETECTION] =
        {"zero-page-detection", "9.0", ENUM(zero_pages, ZERO_PAGES_MULTIFD, ZERO_PAGES_MULTIFD),
         SOURCE, .effect = "which thread finds zero pages, and where they travel",
         .unsupported = "the machine type decides in this build: name one of 8.2 or older for "
                        "legacy"},
    [PARAM_DIRECT_IO] = {"direct-io", "9.1", SWITCH(0), EACH,
                         .effect = "pages without the page cache (O_DIRECT), with mapped-ram"},
    [PARAM_CPR_EXEC_COMMAND] = {"cpr-exec-command", "10.2", WORDS, SOURCE,
                                .effect = "program and arguments of mode cpr-exec",
                                .ours = "as text, it is split as a shell splits a line"},
    [PARAM_X_RDMA_CHUNK_SIZE] = {"x-rdma-chunk-size", "11.x", POWER_OF_TWO(MI, KI *MI, MI), BOTH,
                                 .unit = "bytes", .effect = "piece of memory that is registered",
                                 .unsupported = "there is no RDMA in this build; use tcp"},
    [PARAM_COMPRESS_LEVEL] = {"compress-level", "2.4", "9.1", NUMBER(0, 9, 1), SOURCE,
                              .effect = "level of compress", .unsupported = GONE},
    [PARAM_COMPRESS_THREADS] = {"compress-threads", "2.4", "9.1", NUMBER(1, 255, 8), SOURCE,
                                .effect = "threads of compress", .unsupported = GONE},
    [PARAM_DECOMPRESS_THREADS] = {"decompress-threads", "2.4", "9.1", NUMBER(1, 255, 2),
                                  .side = SIDE_DESTINATION, .effect = "threads of compress",
                                  .unsupported = GONE},
    [PARAM_COMPRESS_WAIT_THREAD] = {"compress-wait-thread", "3.1", "9.1", SWITCH(1), SOURCE,
                                    .effect = "wait for a thread of compress that is free",
                                    .unsupported = GONE},
    [PARAM_BLOCK_INCREMENTAL] = {"block-incremental", "2.10", "9.1", SWITCH(0), SOURCE,
                                 .effect = "send only the disk's topmost layer",
                                 .unsupported = NO_DISKS},
};
_Static_assert(ARRAY_LEN(parameters) == PARAM_N, "a row for each parameter");

static const char *const kind_names[] = {
    [KIND_NUMBER] = "number", [KIND_SIZE] = "size", [KIND_LEVEL] = "level", [KIND_BOOL] = "bool",
    [KIND_ENUM] = "enum",     [KIND_TEXT] = "text", [KIND_WORDS] = "words", [KIND_LIST] = "list",
};
_Static_assert(ARRAY_LEN(kind_names) == KIND_N, "a name for each kind");

const char *parameter_kind_name(enum parameter_kind kind)
{
    return kind_names[kind];
}

int parameter_find(const char *name)
{
    for (int i = 0; i < PARAM_N; i++) {
        if (strcmp(parameters[i].name, name) == 0)
            return i;
    }
    return -1;
}

/* --- checks ---------------------------------------------------------------------------------- */

static bool is_power_of_two(uint64_t n)
{
    return n && (n & (n - 1)) == 0;
}

static bool are_words(const char *line)
{
    struct error ignored;
    char **words;

    if (words_split(line, &words, &ignored) < 0)
        return false;
    words_free(words);
    return true;
}

static bool in_range(const struct parameter_info *p, union parameter_value value)
{
    if (p->kind == KIND_LEVEL)
        return value.level >= p->min && value.level <= (int64_t)p->max;
    if (p->kind == KIND_TEXT)
        return strlen(value.text) <= p->max;
    if (p->kind == KIND_WORDS)
        return are_words(value.text);
    if (p->kind == KIND_LIST)
        return true;
    return value.number >= (uint64_t)p->min && value.number <= p->max &&
           (!p->power_of_two || is_power_of_two(value.number));
}

static enum parameter_verdict refuse(enum parameter id, const char *text,
                                     enum parameter_verdict verdict, struct error *err)
{
    const struct parameter_info *p = &parameters[id];
    char range[PARAMETER_TEXT_MAX];

    parameter_range(id, range);
    err_set(err, ERR_USAGE, "%s: '%.60s': expected %s%s%s%s", p->name, text, range,
            p->unit ? " (" : "", p->unit ? p->unit : "", p->unit ? ")" : "");
    return verdict;
}

enum parameter_verdict parameter_check(enum parameter id, union parameter_value value,
                                       struct error *err)
{
    const struct parameter_info *p = &parameters[id];
    char text[PARAMETER_TEXT_MAX];

    if (in_range(p, value) && (p->kind != KIND_ENUM || parameter_is_built(id, value.number)))
        return PARAM_OK;
    if (in_range(p, value) || !p->names)
        parameter_print(id, value, text);
    else /* it has no name */
        snprintf(text, sizeof(text), "%" PRIu64, value.number);
    return refuse(id, text, p->kind == KIND_ENUM ? PARAM_NO_SUCH_VALUE : PARAM_OUT_OF_RANGE, err);
}

bool parameter_is_built(enum parameter id, uint64_t value)
{
    return !parameters[id].is_built || parameters[id].is_built(value);
}

bool parameter_is_text(enum parameter id)
{
    enum parameter_kind kind = parameters[id].kind;

    return kind == KIND_TEXT || kind == KIND_WORDS || kind == KIND_LIST;
}

bool parameter_equal(enum parameter id, union parameter_value a, union parameter_value b)
{
    return parameter_is_text(id) ? strcmp(a.text, b.text) == 0 : a.number == b.number;
}

/* --- reading --------------------------------------------------------------------------------- */

bool parse_switch(const char *text, bool *ret)
{
    bool on = strcmp(text, "on") == 0 || strcmp(text, "true") == 0;

    if (!on && strcmp(text, "off") != 0 && strcmp(text, "false") != 0)
        return false;
    *ret = on;
    return true;
}

static bool read_number(const char *text, uint64_t *ret, const char **ret_rest)
{
    char *rest;

    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    *ret = strtoull(text, &rest, 10);
    *ret_rest = rest;
    return errno == 0;
}

static bool read_size(const char *text, uint64_t *ret)
{
    static const char multiples[] = "KMGT";
    const char *rest, *found;
    uint64_t n;

    if (!read_number(text, &n, &rest))
        return false;
    if (rest[0] && (rest[1] || !(found = strchr(multiples, toupper((unsigned char)rest[0])))))
        return false;
    unsigned shift = rest[0] ? 10 * (unsigned)(found - multiples + 1) : 0;
    if (n > UINT64_MAX >> shift)
        return false;
    *ret = n << shift;
    return true;
}

static bool read_level(const char *text, int64_t *ret)
{
    const char *rest;
    uint64_t n;

    if (!read_number(text + (text[0] == '-'), &n, &rest) || rest[0] || n > INT64_MAX)
        return false;
    *ret = text[0] == '-' ? -(int64_t)n : (int64_t)n;
    return true;
}

static bool read_enum(const char *const *names, const char *text, uint64_t *ret)
{
    for (uint64_t i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* False where the text is no value of that kind at all. */
static bool read_value(const struct parameter_info *p, const char *text, union parameter_value *ret)
{
    const char *rest;
    bool on;

    switch (p->kind) {
    case KIND_NUMBER:
        return read_number(text, &ret->number, &rest) && !rest[0];
    case KIND_SIZE:
        return read_size(text, &ret->number);
    case KIND_LEVEL:
        return read_level(text, &ret->level);
    case KIND_BOOL:
        if (!parse_switch(text, &on))
            return false;
        ret->number = on;
        return true;
    case KIND_ENUM:
        return read_enum(p->names, text, &ret->number);
    default:
        ret->text = text;
        return true;
    }
}

enum parameter_verdict parameter_parse(enum parameter id, const char *text,
                                       union parameter_value *ret, struct error *err)
{
    const struct parameter_info *p = &parameters[id];
    union parameter_value value = {0};

    if (!read_value(p, text, &value))
        return refuse(id, text, p->kind == KIND_ENUM ? PARAM_NO_SUCH_VALUE : PARAM_OUT_OF_RANGE,
                      err);
    enum parameter_verdict verdict = parameter_check(id, value, err);
    if (verdict == PARAM_OK)
        *ret = value;
    return verdict;
}

/* --- printing -------------------------------------------------------------------------------- */

void parameter_print(enum parameter id, union parameter_value value,
                     char ret[static PARAMETER_TEXT_MAX])
{
    const struct parameter_info *p = &parameters[id];

    if (parameter_is_text(id))
        snprintf(ret, PARAMETER_TEXT_MAX, "%s", value.text);
    else if (p->kind == KIND_LEVEL)
        snprintf(ret, PARAMETER_TEXT_MAX, "%" PRId64, value.level);
    else if (p->names)
        snprintf(ret, PARAMETER_TEXT_MAX, "%s", p->names[value.number]);
    else
        snprintf(ret, PARAMETER_TEXT_MAX, "%" PRIu64, value.number);
}

static void print_names(enum parameter id, char *ret)
{
    const char *const *names = parameters[id].names;
    size_t len = 0;

    ret[0] = 0;
    for (uint64_t i = 0; names[i]; i++) {
        if (parameter_is_built(id, i))
            len += (size_t)snprintf(ret + len, PARAMETER_TEXT_MAX - len, "%s%s", len ? ", " : "",
                                    names[i]);
    }
}

void parameter_range(enum parameter id, char ret[static PARAMETER_TEXT_MAX])
{
    const struct parameter_info *p = &parameters[id];

    if (p->names)
        print_names(id, ret);
    else if (p->kind == KIND_TEXT)
        snprintf(ret, PARAMETER_TEXT_MAX, "text, at most %" PRIu64 " bytes", p->max);
    else if (p->kind == KIND_WORDS)
        snprintf(ret, PARAMETER_TEXT_MAX, "words, quoted as for a shell, at most %d", WORDS_MAX);
    else if (p->kind == KIND_LIST)
        snprintf(ret, PARAMETER_TEXT_MAX, "a list");
    else
        snprintf(ret, PARAMETER_TEXT_MAX, "%s%" PRId64 " to %" PRIu64,
                 p->power_of_two ? "a power of two, " : "", p->min, p->max);
}
