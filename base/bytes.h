/*
 * base/bytes.h: two cursors over a buffer, for layouts of big-endian integers.
 *
 * Neither cursor leaves its buffer. A read past the end yields zeros and marks the reader; a write
 * past the end is dropped and marks the writer. So one check after the last field is enough, and
 * the code of a parser looks like the layout that it reads.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *at, *end;
    bool short_of; /* a read went past the end */
};

struct writer {
    uint8_t *at, *end;
    bool short_of;
};

static inline struct reader reader_of(const void *buf, size_t len)
{
    /* An empty buffer may be NULL, and C does not allow NULL + 0. */
    return (struct reader){.at = buf, .end = len ? (const uint8_t *)buf + len : buf};
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* A pointer to the next `len` bytes in the buffer, or NULL if there are fewer. */
static inline const uint8_t *get_bytes(struct reader *r, size_t len)
{
    if (reader_left(r) < len) {
        r->short_of = true;
        r->at = r->end;
        return NULL;
    }
    const uint8_t *bytes = r->at;
    r->at += len;
    return bytes;
}

/* An integer of 1 to 8 bytes. Compiles to code without a loop if `len` is a constant. */
static inline uint64_t get_be(struct reader *r, size_t len)
{
    const uint8_t *bytes = get_bytes(r, len);
    uint64_t value = 0;

    if (bytes)
        memcpy((uint8_t *)&value + sizeof(value) - len, bytes, len);
    return be64toh(value);
}

static inline uint8_t get_u8(struct reader *r)
{
    return (uint8_t)get_be(r, 1);
}

static inline uint16_t get_u16(struct reader *r)
{
    return (uint16_t)get_be(r, 2);
}

static inline uint32_t get_u32(struct reader *r)
{
    return (uint32_t)get_be(r, 4);
}

static inline uint64_t get_u64(struct reader *r)
{
    return get_be(r, 8);
}

static inline struct writer writer_of(void *buf, size_t len)
{
    return (struct writer){.at = buf, .end = (uint8_t *)buf + len};
}

static inline size_t writer_left(const struct writer *w)
{
    return (size_t)(w->end - w->at);
}

static inline void put_bytes(struct writer *w, const void *bytes, size_t len)
{
    if (writer_left(w) < len) {
        w->short_of = true;
        return;
    }
    memcpy(w->at, bytes, len);
    w->at += len;
}

static inline void put_be(struct writer *w, uint64_t value, size_t len)
{
    value = htobe64(value);
    put_bytes(w, (uint8_t *)&value + sizeof(value) - len, len);
}

static inline void put_u8(struct writer *w, uint8_t value)
{
    put_be(w, value, 1);
}

static inline void put_u16(struct writer *w, uint16_t value)
{
    put_be(w, value, 2);
}

static inline void put_u32(struct writer *w, uint32_t value)
{
    put_be(w, value, 4);
}

static inline void put_u64(struct writer *w, uint64_t value)
{
    put_be(w, value, 8);
}

static inline void put_zeros(struct writer *w, size_t len)
{
    if (writer_left(w) < len) {
        w->short_of = true;
        return;
    }
    memset(w->at, 0, len);
    w->at += len;
}
