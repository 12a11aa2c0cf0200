#include "stream/cpr_state.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/printable.h"
#include "stream/stream_format.h"

#define MORE 1 /* the byte before each entry; 0: the end */

/* --- the list -------------------------------------------------------------------------------- */

int cpr_state_add(struct cpr_state *s, const char *name, int fd, struct error *err)
{
    if (s->n == CPR_ENTRIES_MAX)
        return err_set(err, ERR_USAGE, "more than %d blocks of memory to hand over",
                       CPR_ENTRIES_MAX);
    if (strlen(name) >= CPR_NAME_MAX)
        return err_set(err, ERR_USAGE, "'%.40s…': a name of %zu bytes, expected at most %d", name,
                       strlen(name), CPR_NAME_MAX - 1);
    struct cpr_entry *e = &s->entries[s->n++];
    *e = (struct cpr_entry){.fd = fd};
    strcpy(e->name, name);
    return 0;
}

static struct cpr_entry *find(struct cpr_state *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->entries[i].id == 0 && strcmp(s->entries[i].name, name) == 0)
            return &s->entries[i];
    }
    return NULL;
}

int cpr_state_take(struct cpr_state *s, const char *name)
{
    struct cpr_entry *e = find(s, name);

    return e ? fd_take(&e->fd) : -1;
}

const char *cpr_state_left(const struct cpr_state *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->entries[i].fd >= 0)
            return s->entries[i].name;
    }
    return NULL;
}

void cpr_state_close(struct cpr_state *s)
{
    for (size_t i = 0; i < s->n; i++)
        fd_close(&s->entries[i].fd);
}

/* --- out ------------------------------------------------------------------------------------- */

int cpr_state_encode_head(struct buf *out, struct error *err)
{
    uint8_t bytes[8];
    struct writer w = writer_of(bytes, sizeof(bytes));

    put_u32(&w, CPR_STATE_MAGIC);
    put_u32(&w, CPR_STATE_VERSION);
    return buf_append(out, bytes, sizeof(bytes), err);
}

int cpr_state_encode_entry(const struct cpr_entry *e, struct buf *out, struct error *err)
{
    uint8_t bytes[1 + 4 + CPR_NAME_MAX + 4];
    struct writer w = writer_of(bytes, sizeof(bytes));
    size_t len = strlen(e->name) + 1;

    put_u8(&w, MORE);
    put_u32(&w, (uint32_t)len);
    put_bytes(&w, e->name, len);
    put_u32(&w, (uint32_t)e->id);
    return buf_append(out, bytes, (size_t)(w.at - bytes), err);
}

int cpr_state_encode_end(struct buf *out, struct error *err)
{
    static const uint8_t end = 0;

    return buf_append(out, &end, sizeof(end), err);
}

int cpr_state_encode_numbered(const struct cpr_state *s, struct buf *out, struct error *err)
{
    int rc = cpr_state_encode_head(out, err);

    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        uint8_t number[4];
        struct writer w = writer_of(number, sizeof(number));

        put_u32(&w, (uint32_t)s->entries[i].fd);
        rc = cpr_state_encode_entry(&s->entries[i], out, err);
        if (rc == 0)
            rc = buf_append(out, number, sizeof(number), err);
    }
    return rc == 0 ? cpr_state_encode_end(out, err) : -1;
}

/* --- in -------------------------------------------------------------------------------------- */

/* Checks the length first, even if the name itself has not come yet. */
static int read_name(struct reader *r, size_t i, char ret[static CPR_NAME_MAX], struct error *err)
{
    uint32_t len = get_u32(r);

    if (r->short_of)
        return 0;
    if (len < 2 || len > CPR_NAME_MAX)
        return err_set(err, ERR_PEER, "entry %zu: a name of %" PRIu32 " bytes, expected 2 to %d", i,
                       len, CPR_NAME_MAX);
    const uint8_t *name = get_bytes(r, len);
    if (!name)
        return 0;
    if (name[len - 1] || memchr(name, 0, len - 1))
        return err_set(err, ERR_PEER, "entry %zu: a name that does not end where it should", i);
    memcpy(ret, name, len);
    return 0;
}

static bool is_double(const struct cpr_state *s, const struct cpr_entry *e)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->entries[i].id == e->id && strcmp(s->entries[i].name, e->name) == 0)
            return true;
    }
    return false;
}

static int read_entry(struct reader *r, enum cpr_carrier carrier, struct cpr_state *s,
                      struct error *err)
{
    struct cpr_entry *e = &s->entries[s->n];

    *e = (struct cpr_entry){.fd = (int)s->n};
    if (read_name(r, s->n, e->name, err) < 0)
        return -1;
    e->id = (int32_t)get_u32(r);
    if (carrier == CPR_NUMBERED)
        e->fd = (int)(int32_t)get_u32(r);
    else
        get_u8(r);
    if (r->short_of)
        return 0;
    printable(e->name);
    if (is_double(s, e))
        return err_set(err, ERR_PEER, "'%.60s': named twice", e->name);
    s->n++;
    return 0;
}

static int read_head(struct reader *r, struct error *err)
{
    uint32_t magic = get_u32(r);

    if (!r->short_of && magic != CPR_STATE_MAGIC)
        return err_set(err, ERR_PEER, "magic 0x%08" PRIx32 ", expected 0x%08x", magic,
                       CPR_STATE_MAGIC);
    uint32_t version = get_u32(r);
    if (!r->short_of && version != CPR_STATE_VERSION)
        return err_set(err, ERR_PEER, "version %" PRIu32 ", expected %u", version,
                       CPR_STATE_VERSION);
    return 0;
}

static int expect_end(struct reader *r, struct error *err)
{
    size_t left = reader_left(r);

    if (left && get_u8(r) == STREAM_SUBSECTION)
        return err_set(err, ERR_PEER, "state of devices after the list, expected memory only");
    if (left)
        return err_set(err, ERR_PEER, "%zu bytes after the list, expected none", left);
    return 1;
}

int cpr_state_decode(const uint8_t *bytes, size_t len, enum cpr_carrier carrier,
                     struct cpr_state *ret, struct error *err)
{
    struct reader r = reader_of(bytes, len);

    ret->n = 0;
    if (read_head(&r, err) < 0)
        return -1;
    while (!r.short_of) {
        uint8_t more = get_u8(&r);

        if (r.short_of)
            break;
        if (more == 0)
            return expect_end(&r, err);
        if (more != MORE)
            return err_set(err, ERR_PEER, "entry %zu: begins with %u, expected 1 or 0", ret->n,
                           more);
        if (ret->n == CPR_ENTRIES_MAX)
            return err_set(err, ERR_PEER, "more than %d entries", CPR_ENTRIES_MAX);
        if (read_entry(&r, carrier, ret, err) < 0)
            return -1;
    }
    return 0;
}
