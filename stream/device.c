#include "stream/device.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/macros.h"
#include "stream/description.h"
#include "stream/stream_format.h"

/* Type, id, the name with its length; instance and version. */
#define SECTION_HEAD_LEN (1 + 4 + 1 + STREAM_NAME_MAX + 4 + 4)

/* A source may number its sections freely; RAM has 1 here. */
#define FIRST_ID 2

/* --- saving ---------------------------------------------------------------------------------- */

static void put_section(const struct device *d, uint32_t id, struct writer *w)
{
    size_t name_len = strlen(d->name);

    put_u8(w, STREAM_SECTION_FULL);
    put_u32(w, id);
    put_u8(w, (uint8_t)name_len);
    put_bytes(w, d->name, name_len);
    put_u32(w, d->instance);
    put_u32(w, DEVICE_VERSION);
    fields_put(d->fields, d->state, w);
    put_u8(w, STREAM_FOOTER);
    put_u32(w, id);
}

static int save_section(const struct device *d, uint32_t id, struct buf *tail, struct error *err)
{
    size_t room = SECTION_HEAD_LEN + fields_len(d->fields) + STREAM_FOOTER_LEN;
    uint8_t *bytes = malloc(room);

    if (!bytes)
        return err_sys(err, "memory for device '%s'", d->name);
    struct writer w = writer_of(bytes, room);
    put_section(d, id, &w);
    int rc = buf_append(tail, bytes, (size_t)(w.at - bytes), err);
    free(bytes);
    return rc;
}

static int describe(const struct device *d, json_t *list, struct error *err)
{
    json_t *entry = json_pack("{s:s, s:I, s:s, s:i, s:o}", "name", d->name, "instance_id",
                              (json_int_t)d->instance, "vmsd_name", d->fields->name, "version",
                              DEVICE_VERSION, "fields", fields_describe(d->fields));

    if (json_array_append_new(list, entry) < 0)
        return err_set(err, ERR_SYSTEM, "memory for a description");
    return 0;
}

int devices_save(const struct device *devices, size_t n, struct buf *tail, struct error *err)
{
    json_auto_t *list = json_array();

    tail->len = 0;
    for (size_t i = 0; i < n; i++) {
        if (save_section(&devices[i], FIRST_ID + (uint32_t)i, tail, err) < 0 ||
            describe(&devices[i], list, err) < 0)
            return -1;
    }
    return description_append(tail, list, err);
}

/* --- loading --------------------------------------------------------------------------------- */

struct loading {
    const struct device *devices;
    size_t n;
    bool *seen; /* for each device: its section has come */
    bool failed;
    struct error *err;
};

static void refuse(struct loading *l, const struct section *s, const char *why)
{
    if (!l->failed)
        err_set(l->err, ERR_PEER, "device '%s' %u: %s", s->name, s->instance, why);
    l->failed = true;
}

static bool is_of(const struct device *d, const struct section *s)
{
    return d->instance == s->instance && strcmp(d->name, s->name) == 0;
}

static void load_section(void *arg, const struct section *s, const uint8_t *body, uint64_t len)
{
    struct loading *l = arg;
    size_t i = 0;

    while (i < l->n && !is_of(&l->devices[i], s))
        i++;
    if (i == l->n) {
        refuse(l, s, "there is no such device here");
    } else if (l->seen[i]) {
        refuse(l, s, "a second section of it");
    } else if (s->version != DEVICE_VERSION || len != fields_len(l->devices[i].fields)) {
        refuse(l, s, "its section has another layout than the one known here");
    } else {
        struct reader r = reader_of(body, len);

        l->seen[i] = true;
        fields_get(l->devices[i].fields, l->devices[i].state, &r);
    }
}

static int load_all(struct loading *l, const struct buf *early, const struct buf *tail,
                    struct error *err)
{
    if (description_check(early, tail, load_section, l, err) < 0 || l->failed)
        return -1;
    for (size_t i = 0; i < l->n; i++) {
        if (!l->seen[i])
            return err_set(err, ERR_PEER, "device '%s' %u: the stream has no section of it",
                           l->devices[i].name, l->devices[i].instance);
    }
    return 0;
}

int devices_load(const struct device *devices, size_t n, const struct buf *early,
                 const struct buf *tail, struct error *err)
{
    struct loading l = {
        .devices = devices,
        .n = n,
        .seen = calloc(MAX(n, (size_t)1), sizeof(bool)),
        .err = err,
    };

    if (!l.seen)
        return err_sys(err, "memory for devices");
    int rc = load_all(&l, early, tail, err);
    free(l.seen);
    return rc;
}
