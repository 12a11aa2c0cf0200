#include "compress/codec.h"

#include <stdbool.h>
#include <string.h>

static const struct {
    const char *name;
    bool built;
} codecs[] = {
    [CODEC_NONE] = {"none", true},  [CODEC_ZLIB] = {"zlib", false},
    [CODEC_ZSTD] = {"zstd", false}, [CODEC_QPL] = {"qpl", false},
    [CODEC_UADK] = {"uadk", false}, [CODEC_QATZIP] = {"qatzip", false},
};
_Static_assert(ARRAY_LEN(codecs) == CODEC_N, "a row for each method");

int codec_find(const char *name, enum codec_method *ret, struct error *err)
{
    size_t len = strcspn(name, ":");

    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
        if (strlen(codecs[i].name) != len || strncmp(name, codecs[i].name, len) != 0)
            continue;
        if (!codecs[i].built)
            return err_set(err, ERR_USAGE, "method '%s' is not in this build; use none",
                           codecs[i].name);
        if (name[len])
            return err_set(err, ERR_USAGE, "method '%.32s': none has no level", name);
        *ret = (enum codec_method)i;
        return 0;
    }
    return err_set(err, ERR_USAGE, "method '%.32s': expected none (zlib and zstd are not built)",
                   name);
}

const char *codec_name(enum codec_method method)
{
    return codecs[method].name;
}
