#include "stream/fields.h"

#include <stdio.h>

static size_t item_len(const struct field *f)
{
    return f->of ? fields_len(f->of) : f->width;
}

size_t fields_len(const struct field_table *t)
{
    size_t len = 0;

    for (size_t i = 0; i < t->n; i++)
        len += item_len(&t->fields[i]) * t->fields[i].count;
    return len;
}

/* --- integers in memory ---------------------------------------------------------------------- */

/* Integers in memory have the host's byte order. They are copied, because a pointer of another type
 * would break C's aliasing rules. */
static uint64_t load(const void *from, size_t width)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (width) {
    case sizeof(u8):
        return memcpy(&u8, from, width), u8;
    case sizeof(u16):
        return memcpy(&u16, from, width), u16;
    case sizeof(u32):
        return memcpy(&u32, from, width), u32;
    default:
        return memcpy(&u64, from, sizeof(u64)), u64;
    }
}

static void store(void *to, size_t width, uint64_t value)
{
    uint8_t u8 = (uint8_t)value;
    uint16_t u16 = (uint16_t)value;
    uint32_t u32 = (uint32_t)value;

    switch (width) {
    case sizeof(u8):
        memcpy(to, &u8, width);
        break;
    case sizeof(u16):
        memcpy(to, &u16, width);
        break;
    case sizeof(u32):
        memcpy(to, &u32, width);
        break;
    default:
        memcpy(to, &value, sizeof(value));
    }
}

/* --- to the stream and back ------------------------------------------------------------------ */

static void put_field(const struct field *f, const uint8_t *from, struct writer *w)
{
    if (!f->of && f->width == 1) {
        put_bytes(w, from, f->count);
        return;
    }
    for (size_t i = 0; i < f->count; i++, from += f->width) {
        if (f->of)
            fields_put(f->of, from, w);
        else
            put_be(w, load(from, f->width), f->width);
    }
}

void fields_put(const struct field_table *t, const void *from, struct writer *w)
{
    for (size_t i = 0; i < t->n; i++)
        put_field(&t->fields[i], (const uint8_t *)from + t->fields[i].offset, w);
}

static void get_field(const struct field *f, uint8_t *to, struct reader *r)
{
    for (size_t i = 0; i < f->count; i++, to += f->width) {
        if (f->of)
            fields_get(f->of, to, r);
        else
            store(to, f->width, get_be(r, f->width));
    }
}

void fields_get(const struct field_table *t, void *to, struct reader *r)
{
    for (size_t i = 0; i < t->n; i++)
        get_field(&t->fields[i], (uint8_t *)to + t->fields[i].offset, r);
}

/* --- in the description ---------------------------------------------------------------------- */

/* As in QEMU, an array of bytes is one field of that size; other arrays have an "array_len". */
static json_t *describe_integers(const struct field *f)
{
    char type[16];

    if (f->width == 1 && f->count > 1)
        return json_pack("{s:s, s:s, s:I}", "name", f->name, "type", "buffer", "size",
                         (json_int_t)f->count);
    snprintf(type, sizeof(type), "uint%zu", f->width * 8);
    return json_pack("{s:s, s:s, s:I}", "name", f->name, "type", type, "size",
                     (json_int_t)f->width);
}

static json_t *describe_struct(const struct field *f)
{
    return json_pack("{s:s, s:s, s:{s:s, s:i, s:o}, s:I}", "name", f->name, "type", "struct",
                     "struct", "vmsd_name", f->of->name, "version", 1, "fields",
                     fields_describe(f->of), "size", (json_int_t)fields_len(f->of));
}

json_t *fields_describe(const struct field_table *t)
{
    json_t *list = json_array();

    for (size_t i = 0; i < t->n; i++) {
        const struct field *f = &t->fields[i];
        json_t *entry = f->of ? describe_struct(f) : describe_integers(f);

        if (f->count > 1 && (f->of || f->width > 1))
            json_object_set_new(entry, "array_len", json_integer((json_int_t)f->count));
        if (json_array_append_new(list, entry) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
