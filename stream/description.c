#include "stream/description.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json_memory.h"
#include "stream/stream_format.h"

/* EOF byte, element byte, u32 length. */
#define LEAD_LEN 6

/* Subsections that nest deeper than this are refused. */
#define NESTING_MAX 64

bool description_ends(const struct buf *tail, size_t *ret_json)
{
    if (tail->len == 0 || tail->data[tail->len - 1] != '}')
        return false;
    /* Searches from the end for the lead, 00 06 LENGTH, and a '{' after it: LENGTH must be the
     * distance to the end. */
    for (size_t json_len = 2; json_len + LEAD_LEN <= tail->len; json_len++) {
        const uint8_t *lead = tail->data + tail->len - json_len - LEAD_LEN;
        struct reader r = reader_of(lead, LEAD_LEN);

        if (json_len > STREAM_DESCRIPTION_MAX)
            return false;
        if (lead[LEAD_LEN] != '{' || get_u8(&r) != STREAM_EOF || get_u8(&r) != STREAM_DESCRIPTION ||
            get_u32(&r) != json_len)
            continue;
        *ret_json = tail->len - json_len;
        return true;
    }
    return false;
}

size_t description_eof(const struct buf *tail)
{
    size_t json_at;

    return description_ends(tail, &json_at) ? json_at - LEAD_LEN : 0;
}

static bool add(uint64_t *sum, uint64_t more)
{
    return !__builtin_add_overflow(*sum, more, sum) && *sum <= STREAM_DEVICES_MAX;
}

/* The length in bytes of a device or subsection. False if its sizes or names make no sense. */
static bool body_length(const json_t *device, int depth, uint64_t *ret)
{
    uint64_t sum = 0;
    size_t i;
    json_t *field, *subsection;

    if (depth > NESTING_MAX)
        return false;
    json_array_foreach(json_object_get(device, "fields"), i, field)
    {
        const json_t *size = json_object_get(field, "size");
        const json_t *count = json_object_get(field, "array_len");
        json_int_t bytes = json_integer_value(size);
        json_int_t times = count ? json_integer_value(count) : 1;
        uint64_t product;

        if (!json_is_integer(size) || bytes < 0 || times < 0 ||
            __builtin_mul_overflow((uint64_t)bytes, (uint64_t)times, &product) ||
            !add(&sum, product))
            return false;
    }
    json_array_foreach(json_object_get(device, "subsections"), i, subsection)
    {
        const char *name = json_string_value(json_object_get(subsection, "vmsd_name"));
        uint64_t len;

        if (!name || !body_length(subsection, depth + 1, &len) ||
            !add(&sum, 2 + strlen(name) + 4 + len))
            return false;
    }
    *ret = sum;
    return true;
}

struct cut {
    struct reader early, tail;
    description_visit *visit;
    void *arg;
};

/* Reads one whole section from `r` and compares it with its entry in the description. */
static int cut_section(struct reader *r, const json_t *device, struct section *ret,
                       const uint8_t **ret_body, uint64_t *ret_len, struct error *err)
{
    const char *name = json_string_value(json_object_get(device, "name"));
    json_int_t instance = json_integer_value(json_object_get(device, "instance_id"));
    struct section s = {.type = (enum stream_element)get_u8(r), .id = get_u32(r)};
    size_t name_len = get_u8(r);
    const uint8_t *found = get_bytes(r, name_len);
    uint64_t len;

    if (!name || !body_length(device, 0, &len))
        return err_set(err, ERR_PEER, "description: an entry without a name or with absurd sizes");
    if (s.type != STREAM_SECTION_FULL || !found || strlen(name) != name_len ||
        memcmp(found, name, name_len) != 0)
        return err_set(err, ERR_PEER,
                       "description: lists device '%.64s', but another section is there", name);
    memcpy(s.name, name, name_len);
    s.instance = get_u32(r);
    s.version = get_u32(r);
    if (s.instance != (uint32_t)instance)
        return err_set(err, ERR_PEER, "device '%.64s': instance %u, the description says %u", name,
                       s.instance, (uint32_t)instance);
    *ret_body = get_bytes(r, len);
    uint8_t footer = get_u8(r);
    uint32_t id = get_u32(r);
    if (r->short_of || footer != STREAM_FOOTER || id != s.id)
        return err_set(err, ERR_PEER,
                       "device '%.64s': no footer after the %" PRIu64
                       " bytes that the description gives it",
                       name, len);
    *ret = s;
    *ret_len = len;
    return 0;
}

static int cut_all(struct cut *cut, const json_t *devices, struct error *err)
{
    size_t i;
    json_t *device;

    json_array_foreach(devices, i, device)
    {
        struct reader *r = reader_left(&cut->early) ? &cut->early : &cut->tail;
        const uint8_t *body = NULL;
        struct section s;
        uint64_t len = 0;

        if (cut_section(r, device, &s, &body, &len, err) < 0)
            return -1;
        if (cut->visit)
            cut->visit(cut->arg, &s, body, len);
    }
    if (reader_left(&cut->early) || reader_left(&cut->tail))
        return err_set(err, ERR_PEER, "device sections that the description does not list");
    return 0;
}

/* The description is `json_len` bytes at `json_at` of the tail, after its lead. */
static int check_at(struct cut *cut, const struct buf *early, const uint8_t *tail, size_t json_at,
                    size_t json_len, struct error *err)
{
    json_error_t why;
    json_t *root = json_memory_load((const char *)tail + json_at, json_len, 0, &why);

    if (!root)
        return err_set(err, ERR_PEER, "description: not JSON: %.100s", why.text);
    cut->early = reader_of(early->data, early->len);
    cut->tail = reader_of(tail, json_at - LEAD_LEN);
    int rc = cut_all(cut, json_object_get(root, "devices"), err);
    json_decref(root);
    return rc;
}

int description_check(const struct buf *early, const struct buf *tail, description_visit *visit,
                      void *arg, struct error *err)
{
    struct cut cut = {.visit = visit, .arg = arg};
    size_t json_at = 0;

    if (!description_ends(tail, &json_at))
        return err_set(err, ERR_PEER, "the stream ends without its description (0x06)");
    return check_at(&cut, early, tail->data, json_at, tail->len - json_at, err);
}

/* The length of the description whose lead may be at `at`; 0: there is none. */
static size_t led_by(const struct buf *tail, size_t at)
{
    struct reader r = reader_of(tail->data + at, tail->len - at);

    if (get_u8(&r) != STREAM_EOF || get_u8(&r) != STREAM_DESCRIPTION)
        return 0;
    size_t len = get_u32(&r);
    if (r.short_of || len < 2 || len > STREAM_DESCRIPTION_MAX || len > reader_left(&r))
        return 0;
    return r.at[0] == '{' && r.at[len - 1] == '}' ? len : 0;
}

/*
 * The next candidate's lead begins with byte 0, which JSON does not contain, so the parser stops
 * there at the latest. However many candidates there are, each byte is parsed once.
 */
bool description_find(const struct buf *early, const struct buf *tail, size_t *ret_end)
{
    const uint8_t *type;
    struct error ignored;

    for (size_t at = 1; at < tail->len; at = (size_t)(type - tail->data) + 1) {
        type = memchr(tail->data + at, STREAM_DESCRIPTION, tail->len - at);
        if (!type)
            return false;
        size_t lead = (size_t)(type - tail->data) - 1, len = led_by(tail, lead);
        struct cut cut = {.visit = NULL};

        if (len > 0 && check_at(&cut, early, tail->data, lead + LEAD_LEN, len, &ignored) == 0) {
            *ret_end = lead + LEAD_LEN + len;
            return true;
        }
    }
    return false;
}

int description_list(json_t **list, const struct section *s, uint64_t body_len, struct error *err)
{
    json_t *entry =
        json_pack("{s:s, s:I, s:I, s:[{s:s, s:s, s:I}]}", "name", s->name, "instance_id",
                  (json_int_t)s->instance, "version", (json_int_t)s->version, "fields", "name",
                  "body", "type", "buffer", "size", (json_int_t)body_len);

    if (!*list)
        *list = json_array();
    if (json_array_append_new(*list, entry) < 0)
        return err_set(err, ERR_SYSTEM, "memory for a description");
    return 0;
}

static int append(struct buf *tail, const char *json, struct error *err)
{
    uint8_t lead[LEAD_LEN];
    struct writer w = writer_of(lead, sizeof(lead));

    put_u8(&w, STREAM_EOF);
    put_u8(&w, STREAM_DESCRIPTION);
    put_u32(&w, (uint32_t)strlen(json));
    if (buf_append(tail, lead, sizeof(lead), err) < 0)
        return -1;
    return buf_append(tail, json, strlen(json), err);
}

int description_append(struct buf *tail, json_t *devices, struct error *err)
{
    json_auto_t *root = json_pack("{s:{}, s:i, s:o}", "configuration", "page_size", 4096, "devices",
                                  devices ? json_incref(devices) : json_array());
    char *json = root ? json_dumps(root, JSON_COMPACT) : NULL;

    bool whole = json && !json_memory_ran_out();
    int rc = whole ? append(tail, json, err) : err_set(err, ERR_SYSTEM, "memory for a description");
    free(json);
    return rc;
}
