/*
 * stream/fields.h: a device's state as a table of fields. The table says how to write the state to
 * the stream, how to read it back, and what its entry in the description is. No I/O; knows no
 * device.
 *
 * In the stream the fields follow each other in order without gaps; integers are big-endian.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct field_table;

/* A member of a C struct: an integer, a struct with its own table, or an array of either. */
struct field {
    const char *name;
    size_t offset;
    size_t width;                 /* bytes of one integer: 1, 2, 4 or 8; of one struct: its size */
    size_t count;                 /* 1, or the length of the array */
    const struct field_table *of; /* NULL: integers */
};

struct field_table {
    const char *name;
    const struct field *fields;
    size_t n;
};

#define FIELD_MEMBER(type, member) (((type *)NULL)->member)
#define FIELD(type, member)                                                                        \
    {                                                                                              \
#member, offsetof(type, member), sizeof(FIELD_MEMBER(type, member)), 1, NULL               \
    }
#define FIELD_ARRAY(type, member)                                                                  \
    {                                                                                              \
#member, offsetof(type, member), sizeof(FIELD_MEMBER(type, member)[0]),                    \
            sizeof(FIELD_MEMBER(type, member)) / sizeof(FIELD_MEMBER(type, member)[0]), NULL       \
    }
#define FIELD_STRUCT(type, member, table)                                                          \
    {                                                                                              \
#member, offsetof(type, member), sizeof(FIELD_MEMBER(type, member)), 1, table              \
    }
#define FIELD_STRUCTS(type, member, table)                                                         \
    {                                                                                              \
#member, offsetof(type, member), sizeof(FIELD_MEMBER(type, member)[0]),                    \
            sizeof(FIELD_MEMBER(type, member)) / sizeof(FIELD_MEMBER(type, member)[0]), table      \
    }

/* The length in the stream, in bytes. */
size_t fields_len(const struct field_table *t);
void fields_put(const struct field_table *t, const void *from, struct writer *w);
/* If less than fields_len() is left, marks the reader; fields past the end read as zero. */
void fields_get(const struct field_table *t, void *to, struct reader *r);
/* The description's "fields": a new array, or NULL if memory is short. */
json_t *fields_describe(const struct field_table *t);
