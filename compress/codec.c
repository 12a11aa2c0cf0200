#include "compress/codec.h"

#include <stdio.h>

extern const struct codec_ops codec_igzip, codec_zlib, codec_zstd;

#define NO_HARDWARE "it needs hardware that is not used here"

static const struct {
    const char *name;
    const char *absence; /* why a build may not have it; NULL: every build has it */
} methods[] = {
    [CODEC_NONE] = {"none", NULL},
    [CODEC_ZLIB] = {"zlib", NULL},
    [CODEC_ZSTD] = {"zstd", "this build lacks libzstd"},
    [CODEC_QPL] = {"qpl", NO_HARDWARE},
    [CODEC_UADK] = {"uadk", NO_HARDWARE},
    [CODEC_QATZIP] = {"qatzip", NO_HARDWARE},
};
_Static_assert(ARRAY_LEN(methods) == CODEC_N, "a row for each method");

/* For each method, the best one comes first. */
static const struct codec_ops *const implementations[] = {
#ifdef RAMJET_HAVE_ISAL
    &codec_igzip,
#endif
    &codec_zlib,
#ifdef RAMJET_HAVE_ZSTD
    &codec_zstd,
#endif
};

const char *codec_name(enum codec_method method)
{
    return methods[method].name;
}

bool codec_built(enum codec_method method)
{
    return method == CODEC_NONE || codec_unpacking(method);
}

const char *codec_absence(enum codec_method method)
{
    return codec_built(method) ? NULL : methods[method].absence;
}

/* What stands in front of a name in a list: "a, b or c". */
static const char *joint(bool is_first, bool is_last)
{
    if (is_first)
        return "";
    return is_last ? " or " : ", ";
}

void codec_list_built(char *ret, size_t len)
{
    size_t last = 0, at = 0;

    for (size_t i = 0; i < CODEC_N; i++) {
        if (codec_built((enum codec_method)i))
            last = i;
    }
    for (size_t i = 0; i <= last && at < len; i++) {
        if (codec_built((enum codec_method)i))
            at += (size_t)snprintf(ret + at, len - at, "%s%s", joint(at == 0, i == last),
                                   methods[i].name);
    }
}

const struct codec_ops *const *codec_implementations(size_t *ret_n)
{
    size_t skip = implementations[0]->worth_it && !implementations[0]->worth_it() ? 1 : 0;

    *ret_n = ARRAY_LEN(implementations) - skip;
    return implementations + skip;
}

const struct codec_ops *codec_packing(enum codec_method method, int level)
{
    size_t n;
    const struct codec_ops *const *all = codec_implementations(&n);

    for (size_t i = 0; i < n; i++) {
        if (all[i]->method == method && level >= all[i]->level_min && level <= all[i]->level_max)
            return all[i];
    }
    return NULL;
}

const struct codec_ops *codec_unpacking(enum codec_method method)
{
    size_t n;
    const struct codec_ops *const *all = codec_implementations(&n);

    for (size_t i = 0; i < n; i++) {
        if (all[i]->method == method)
            return all[i];
    }
    return NULL;
}
