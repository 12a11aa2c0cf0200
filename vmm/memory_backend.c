#include "vmm/memory_backend.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/units.h"
#include "settings/rules.h"

#define HUGE_STANDARD (UINT64_C(2) << 20)

/* --- one property ---------------------------------------------------------------------------- */

static int copy(const char *value, char *to, size_t size, struct error *err)
{
    if (!value[0] || strlen(value) >= size)
        return err_set(err, ERR_USAGE, "'%.40s', expected 1 to %zu bytes", value, size - 1);
    strcpy(to, value);
    return 0;
}

static int read_switch(const char *value, bool *ret, struct error *err)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        return err_set(err, ERR_USAGE, "'%.40s', expected on or off", value);
    *ret = value[1] == 'n';
    return 0;
}

/* Ids that QEMU allows. */
static int set_id(struct memory_backend_config *c, const char *value, struct error *err)
{
    size_t good = isalpha((unsigned char)value[0]) ? 1 : 0;

    while (good &&
           (isalnum((unsigned char)value[good]) || (value[good] && strchr("-._", value[good]))))
        good++;
    if (!good || value[good])
        return err_set(err, ERR_USAGE,
                       "'%.40s', expected letters, digits, '-', '.' and '_', a letter first",
                       value);
    return copy(value, c->id, sizeof(c->id), err);
}

static int set_size(struct memory_backend_config *c, const char *value, struct error *err)
{
    return parse_size(value, &c->bytes, err);
}

static int set_kind(struct memory_backend_config *c, const char *value, struct error *err)
{
    return memory_kind_find(value, &c->kind, err);
}

/* QEMU's types: the kind of each, and whether it is shared by default. */
static const struct {
    const char *name;
    enum memory_kind kind;
    bool usually_shared;
} qom_types[] = {
    {"memory-backend-ram", MEMORY_ANON, false},
    {"memory-backend-memfd", MEMORY_MEMFD, true},
    {"memory-backend-file", MEMORY_FILE, false},
};

static int set_qom_type(struct memory_backend_config *c, const char *value, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(qom_types); i++) {
        if (strcmp(qom_types[i].name, value) == 0) {
            c->kind = qom_types[i].kind;
            return 0;
        }
    }
    return err_set(err, ERR_USAGE,
                   "'%.40s', expected memory-backend-ram, memory-backend-memfd or "
                   "memory-backend-file",
                   value);
}

static int set_path(struct memory_backend_config *c, const char *value, struct error *err)
{
    return copy(value, c->path, sizeof(c->path), err);
}

static int set_page_size(struct memory_backend_config *c, const char *value, struct error *err)
{
    if (parse_size(value, &c->page_bytes, err) < 0)
        return -1;
    return memory_backing_check_huge(c->page_bytes, err);
}

static int set_huge(struct memory_backend_config *c, const char *value, struct error *err)
{
    return read_switch(value, &c->huge, err);
}

static int set_share(struct memory_backend_config *c, const char *value, struct error *err)
{
    bool on = false;

    if (read_switch(value, &on, err) < 0)
        return -1;
    c->sharing = on ? MEMORY_SHARED : MEMORY_PRIVATE;
    return 0;
}

static int set_migratable(struct memory_backend_config *c, const char *value, struct error *err)
{
    return read_switch(value, &c->migratable, err);
}

static int set_numa(struct memory_backend_config *c, const char *value, struct error *err)
{
    return copy(value, c->numa, sizeof(c->numa), err);
}

static int set_policy(struct memory_backend_config *c, const char *value, struct error *err)
{
    c->bind = true;
    return strcmp(value, "bind") == 0 ? 0
                                      : err_set(err, ERR_USAGE, "'%.40s', expected bind", value);
}

static int set_address(struct memory_backend_config *c, const char *value, struct error *err)
{
    c->mapped = true;
    return parse_size(value, &c->address, err);
}

/* --- the table ------------------------------------------------------------------------------- */

/* The rows that the code below names. */
enum { ROW_ID, ROW_SIZE, ROW_PAGE_SIZE, ROW_SHARE, ROW_MIGRATABLE };

const struct memory_property memory_properties[] = {
    [ROW_ID] = {{"id", "id"}, MEMORY_TEXT, set_id},
    [ROW_SIZE] = {{"size", "size"}, MEMORY_SIZE, set_size},
    [ROW_PAGE_SIZE] = {{"page-size", "hugetlbsize"}, MEMORY_SIZE, set_page_size},
    [ROW_SHARE] = {{"share", "share"}, MEMORY_SWITCH, set_share},
    [ROW_MIGRATABLE] = {{"migratable", "migratable"}, MEMORY_SWITCH, set_migratable},
    {{"kind", NULL}, MEMORY_TEXT, set_kind},
    {{NULL, "qom-type"}, MEMORY_TEXT, set_qom_type},
    {{NULL, "hugetlb"}, MEMORY_SWITCH, set_huge},
    {{"path", "mem-path"}, MEMORY_TEXT, set_path},
    {{"numa", NULL}, MEMORY_TEXT, set_numa},
    {{NULL, "host-nodes"}, MEMORY_NODES, set_numa},
    {{NULL, "policy"}, MEMORY_TEXT, set_policy},
    {{"addr", NULL}, MEMORY_SIZE, set_address},
};
const size_t n_memory_properties = ARRAY_LEN(memory_properties);
static_assert(ARRAY_LEN(memory_properties) <= 8 * sizeof(unsigned long), "a bit for each row");

static bool was_said(const struct memory_backend_config *c, unsigned row)
{
    return c->said >> row & 1;
}

int memory_backend_say(struct memory_backend_config *c, enum memory_words words, const char *name,
                       const char *value, struct error *err)
{
    for (unsigned i = 0; i < ARRAY_LEN(memory_properties); i++) {
        const struct memory_property *p = &memory_properties[i];

        if (!p->names[words] || strcmp(p->names[words], name) != 0)
            continue;
        if (was_said(c, i))
            return err_set(err, ERR_USAGE, "%s: given twice", name);
        c->said |= 1UL << i;
        return p->set(c, value, err) < 0 ? err_in(err, "%s", name) : 0;
    }
    return err_set(err, ERR_USAGE, "there is no property '%.40s'; expected " MEMORY_BACKEND_SYNTAX,
                   name);
}

/* --- all of them ----------------------------------------------------------------------------- */

/* In QEMU huge pages are a property of a memfd, and binding takes two properties. */
static int read_qemu(struct memory_backend_config *c, struct error *err)
{
    if (c->huge && c->kind != MEMORY_MEMFD)
        return err_set(err, ERR_USAGE, "hugetlb is for memory-backend-memfd");
    if (c->bind != (c->numa[0] != 0))
        return err_set(err, ERR_USAGE, "host-nodes and policy=bind belong together");
    if (!was_said(c, ROW_SHARE)) {
        for (size_t i = 0; i < ARRAY_LEN(qom_types); i++) {
            if (qom_types[i].kind == c->kind)
                c->sharing = qom_types[i].usually_shared ? MEMORY_SHARED : MEMORY_PRIVATE;
        }
    }
    if (c->huge)
        c->kind = MEMORY_HUGETLB;
    return 0;
}

static int check_kind(struct memory_backend_config *c, struct error *err)
{
    if ((c->kind == MEMORY_FILE) != (c->path[0] != 0))
        return err_set(err, ERR_USAGE,
                       "a path, or mem-path, is for memory in a file, which needs it");
    if (was_said(c, ROW_PAGE_SIZE) && c->kind != MEMORY_HUGETLB)
        return err_set(err, ERR_USAGE, "the size of pages is for huge pages");
    if (c->kind == MEMORY_HUGETLB && !c->page_bytes)
        c->page_bytes = HUGE_STANDARD;
    return 0;
}

static int check_migratable(struct memory_backend_config *c, struct error *err)
{
    struct refusal ignored;

    if (!was_said(c, ROW_MIGRATABLE))
        c->migratable = c->mapped;
    if (!c->migratable || c->mapped)
        return 0;
    return rule_say(rule_of("B1"), "migratable", NULL, &ignored, err);
}

int memory_backend_finish(struct memory_backend_config *c, enum memory_words words,
                          struct error *err)
{
    if (!was_said(c, ROW_ID) || !was_said(c, ROW_SIZE))
        return err_set(err, ERR_USAGE, "%s is missing", was_said(c, ROW_ID) ? "size" : "id");
    if (c->bytes == 0 || c->bytes > RAM_BLOCK_MAX || !IS_ALIGNED(c->bytes, RAM_PAGE_SIZE))
        return err_set(err, ERR_USAGE,
                       "size: %" PRIu64 " bytes, expected a multiple of 4096, at most 64 TiB",
                       c->bytes);
    if (words == MEMORY_QEMU && read_qemu(c, err) < 0)
        return -1;
    return check_kind(c, err) < 0 ? -1 : check_migratable(c, err);
}

/* --- a line of them -------------------------------------------------------------------------- */

/* Copies the next "name=value" of *at to `ret`, and skips the comma after it. A doubled comma
 * becomes one. */
static int cut(const char **at, char *ret, size_t size, struct error *err)
{
    size_t len = 0;

    for (; **at; ++*at) {
        if (**at == ',' && *++*at != ',')
            break;
        if (len + 1 == size)
            return err_set(err, ERR_USAGE, "'%.40s…': too long", ret);
        ret[len++] = **at;
        ret[len] = 0;
    }
    ret[len] = 0;
    return 0;
}

int memory_backend_parse(const char *text, struct memory_backend_config *ret, struct error *err)
{
    struct memory_backend_config c = {0};
    char piece[sizeof(c.path) + 16];

    while (*text) {
        if (cut(&text, piece, sizeof(piece), err) < 0)
            return -1;
        char *equals = strchr(piece, '=');
        if (!equals)
            return err_set(err, ERR_USAGE, "'%.40s': expected " MEMORY_BACKEND_SYNTAX, piece);
        *equals = 0;
        if (memory_backend_say(&c, MEMORY_OURS, piece, equals + 1, err) < 0)
            return -1;
    }
    if (memory_backend_finish(&c, MEMORY_OURS, err) < 0)
        return -1;
    *ret = c;
    return 0;
}

/* --- what it is ------------------------------------------------------------------------------ */

struct memory_backing_config memory_backend_backing(const struct memory_backend_config *c)
{
    return (struct memory_backing_config){
        .kind = c->kind,
        .sharing = c->sharing,
        .page_bytes = c->page_bytes,
        .path = c->path[0] ? c->path : NULL,
        .numa = c->numa[0] ? c->numa : NULL,
    };
}

const char *memory_backend_qom_type(const struct memory_backend_config *c)
{
    enum memory_kind kind = c->kind == MEMORY_HUGETLB ? MEMORY_MEMFD : c->kind;
    size_t i = 0;

    while (qom_types[i].kind != kind)
        i++;
    return qom_types[i].name;
}
