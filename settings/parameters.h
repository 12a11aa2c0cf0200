/*
 * settings/parameters.h: QEMU's migration parameters, by QEMU's names: type, range, unit, default,
 * and whether they have an effect here. rules.h says which of them go together.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "settings/capability.h"

enum parameter {
    PARAM_ANNOUNCE_INITIAL,
    PARAM_ANNOUNCE_MAX,
    PARAM_ANNOUNCE_ROUNDS,
    PARAM_ANNOUNCE_STEP,
    PARAM_THROTTLE_TRIGGER_THRESHOLD,
    PARAM_CPU_THROTTLE_INITIAL,
    PARAM_CPU_THROTTLE_INCREMENT,
    PARAM_CPU_THROTTLE_TAILSLOW,
    PARAM_MAX_CPU_THROTTLE,
    PARAM_TLS_CREDS,
    PARAM_TLS_HOSTNAME,
    PARAM_TLS_AUTHZ,
    PARAM_MAX_BANDWIDTH,
    PARAM_AVAIL_SWITCHOVER_BANDWIDTH,
    PARAM_DOWNTIME_LIMIT,
    PARAM_X_CHECKPOINT_DELAY,
    PARAM_MULTIFD_CHANNELS,
    PARAM_MULTIFD_COMPRESSION, /* an enum codec_method */
    PARAM_MULTIFD_ZLIB_LEVEL,
    PARAM_MULTIFD_ZSTD_LEVEL,
    PARAM_MULTIFD_QATZIP_LEVEL,
    PARAM_XBZRLE_CACHE_SIZE,
    PARAM_MAX_POSTCOPY_BANDWIDTH,
    PARAM_BLOCK_BITMAP_MAPPING,
    PARAM_VCPU_DIRTY_LIMIT,
    PARAM_X_VCPU_DIRTY_LIMIT_PERIOD,
    PARAM_MODE, /* an enum migration_mode */
    PARAM_ZERO_PAGE_DETECTION,
    PARAM_DIRECT_IO,
    PARAM_CPR_EXEC_COMMAND,
    PARAM_X_RDMA_CHUNK_SIZE,
    PARAM_COMPRESS_LEVEL,
    PARAM_COMPRESS_THREADS,
    PARAM_DECOMPRESS_THREADS,
    PARAM_COMPRESS_WAIT_THREAD,
    PARAM_BLOCK_INCREMENTAL,
    PARAM_N,
};

enum migration_mode { MODE_NORMAL, MODE_CPR_REBOOT, MODE_CPR_TRANSFER, MODE_CPR_EXEC };

enum parameter_kind {
    KIND_NUMBER,
    KIND_SIZE,  /* bytes; a suffix K, M, G or T multiplies by 1024, 1024^2, … */
    KIND_LEVEL, /* a number that may be negative */
    KIND_BOOL,
    KIND_ENUM,
    KIND_TEXT,  /* "" means none */
    KIND_WORDS, /* a list of words in one text: base/words.h; "" means none */
    KIND_LIST,  /* known, but no list has an effect here: only "" */
    KIND_N,
};

/* The kind decides which member holds. Text is not owned: it must outlive the settings. */
union parameter_value {
    uint64_t number; /* NUMBER, SIZE, BOOL, ENUM (the index of its name) */
    int64_t level;
    const char *text; /* never NULL */
};

struct parameter_info {
    const char *name;
    const char *since, *removed; /* QEMU versions; removed NULL: it is still there */
    enum parameter_kind kind;
    enum side side;
    bool live;         /* may change while a migration runs, and takes effect at once */
    bool power_of_two; /* of KIND_SIZE: only powers of two */
    union parameter_value standard; /* QEMU's default */
    int64_t min;
    uint64_t max;             /* of KIND_TEXT and KIND_WORDS: the longest, in bytes */
    const char *const *names; /* of KIND_ENUM and KIND_BOOL; NULL ends the list */
    /* Whether this build has the value; another one is refused as QEMU refuses such a method. NULL:
     * it has all. */
    bool (*is_built)(uint64_t value);
    const char *unit, *effect;
    const char *unsupported; /* why it cannot be changed here, as the user is told; NULL: it can */
    const char *ours;        /* where we differ from QEMU; NULL: nowhere */
};

/* A row for each parameter, PARAM_N in all. */
extern const struct parameter_info parameters[];

const char *parameter_kind_name(enum parameter_kind kind);
/* -1: no parameter has this name. */
int parameter_find(const char *name);

/* The result of reading a value. The two refusals have different classes (enum gate_class). */
enum parameter_verdict { PARAM_OK, PARAM_OUT_OF_RANGE, PARAM_NO_SUCH_VALUE };

/*
 * Reads a value as the user writes it. Where it is refused, *ret is untouched and the error says
 * what was expected. Text is not copied.
 */
MUST_USE enum parameter_verdict parameter_parse(enum parameter id, const char *text,
                                                union parameter_value *ret, struct error *err);
/* The same checks on a value at hand: of text only the length, of words the form, of a list
 * nothing. */
MUST_USE enum parameter_verdict parameter_check(enum parameter id, union parameter_value value,
                                                struct error *err);
/* Of a value in its range: whether this build has it. */
bool parameter_is_built(enum parameter id, uint64_t value);
/* Whether its value is the member `text`. */
bool parameter_is_text(enum parameter id);
bool parameter_equal(enum parameter id, union parameter_value a, union parameter_value b);

#define PARAMETER_TEXT_MAX 256
/* Prints the value as the user would write it, and the values it may have: "0 to 255", "on,
 * off". */
void parameter_print(enum parameter id, union parameter_value value,
                     char ret[static PARAMETER_TEXT_MAX]);
void parameter_range(enum parameter id, char ret[static PARAMETER_TEXT_MAX]);

/* Reads "on", "true", "off" or "false". False where the text is none of them. */
bool parse_switch(const char *text, bool *ret);
