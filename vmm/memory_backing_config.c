#include "vmm/memory_backing_config.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/huge_pages.h"

static const struct huge_size {
    const char *name;
    uint64_t bytes;
} huge_sizes[] = {
    {"2M", HUGE_2M},
    {"1G", HUGE_1G},
};

static int parse_nothing(const char *rest, struct memory_backing_config *ret)
{
    (void)ret;
    return rest ? -1 : 0;
}

static int parse_huge_size(const char *rest, struct memory_backing_config *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(huge_sizes); i++) {
        if (strcmp(rest ? rest : huge_sizes[0].name, huge_sizes[i].name) != 0)
            continue;
        ret->page_bytes = huge_sizes[i].bytes;
        return 0;
    }
    return -1;
}

static int parse_path(const char *rest, struct memory_backing_config *ret)
{
    ret->path = rest;
    return rest && rest[0] ? 0 : -1;
}

static const struct {
    const char *name;
    int (*parse)(const char *rest, struct memory_backing_config *ret);
} kinds[] = {
    [MEMORY_ANON] = {"anon", parse_nothing},
    [MEMORY_MEMFD] = {"memfd", parse_nothing},
    [MEMORY_HUGETLB] = {"hugetlb", parse_huge_size},
    [MEMORY_FILE] = {"file", parse_path},
};
static_assert(ARRAY_LEN(kinds) == MEMORY_KINDS, "a row for each kind");

const char *memory_kind_name(enum memory_kind kind)
{
    return kinds[kind].name;
}

int memory_kind_find(const char *name, enum memory_kind *ret, struct error *err)
{
    for (size_t i = 0; i < MEMORY_KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *ret = (enum memory_kind)i;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, "'%.40s', expected anon, memfd, hugetlb or file", name);
}

int memory_backing_check_huge(uint64_t page_bytes, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(huge_sizes); i++) {
        if (huge_sizes[i].bytes == page_bytes)
            return 0;
    }
    return err_set(err, ERR_USAGE, "huge pages of %" PRIu64 " bytes, expected 2M or 1G",
                   page_bytes);
}

bool memory_backing_is_shared(const struct memory_backing_config *config)
{
    if (config->sharing == MEMORY_SHARED_USUALLY)
        return config->kind != MEMORY_ANON;
    return config->sharing == MEMORY_SHARED;
}

int memory_backing_parse(const char *text, struct memory_backing_config *ret, struct error *err)
{
    size_t len = strcspn(text, ":");
    const char *rest = text[len] ? text + len + 1 : NULL;

    for (size_t i = 0; i < MEMORY_KINDS; i++) {
        struct memory_backing_config config = {.kind = (enum memory_kind)i};

        if (strlen(kinds[i].name) != len || strncmp(text, kinds[i].name, len) != 0)
            continue;
        if (kinds[i].parse(rest, &config) < 0)
            break;
        *ret = config;
        return 0;
    }
    return err_set(err, ERR_USAGE, "memory '%s', expected " MEMORY_BACKING_SYNTAX, text);
}
