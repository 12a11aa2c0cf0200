#include "drive/drive_devices.h"

#include <stdio.h>
#include <string.h>

#include "base/json_read.h"
#include "base/printable.h"
#include "drive/drive_check.h"

#define DEPTH_MAX 16 /* of bridges behind bridges: what is deeper is not compared */

/* --- PCI ------------------------------------------------------------------------------------- */

static bool same_place(const json_t *one, const json_t *other)
{
    return json_count(one, "slot") == json_count(other, "slot") &&
           json_count(one, "function") == json_count(other, "function");
}

static bool same_kind(const json_t *one, const json_t *other)
{
    const json_t *a = json_object_get(one, "id"), *b = json_object_get(other, "id");

    return json_count(a, "vendor") == json_count(b, "vendor") &&
           json_count(a, "device") == json_count(b, "device");
}

/* The devices behind a bridge; NULL: the device is no bridge. */
static const json_t *behind(const json_t *device)
{
    return json_object_get(json_object_get(device, "pci_bridge"), "devices");
}

/* The first device that is not at its place in `to`; NULL: all are. The guest numbers
 * the buses, so devices behind a bridge are compared with those behind the same bridge in `to`. */
static const json_t *missing_device(const json_t *from, const json_t *to, unsigned depth)
{
    json_t *device, *other;
    size_t i, k;

    json_array_foreach(from, i, device)
    {
        const json_t *found = NULL;

        json_array_foreach(to, k, other)
        {
            if (same_place(device, other) && same_kind(device, other))
                found = other;
        }
        if (!found)
            return device;
        const json_t *inner =
            depth < DEPTH_MAX ? missing_device(behind(device), behind(found), depth + 1) : NULL;
        if (inner)
            return inner;
    }
    return NULL;
}

static const json_t *missing(const json_t *from, const json_t *to)
{
    json_t *bus;
    size_t i;

    json_array_foreach(from, i, bus)
    {
        const json_t *device = missing_device(json_object_get(bus, "devices"),
                                              json_object_get(json_array_get(to, i), "devices"), 0);
        if (device)
            return device;
    }
    return NULL;
}

/* A property of a device with an id; "": there is none, or the VM does not tell. */
static int device_text(struct monitor *m, const char *id, const char *property, char *ret,
                       size_t size, struct error *err)
{
    json_auto_t *value = NULL;
    char path[200];

    snprintf(path, sizeof(path), "/machine/peripheral/%s", id);
    if (id[0] &&
        drive_ask_perhaps(m, "qom-get", json_pack("{s:s, s:s}", "path", path, "property", property),
                          &value, err) < 0)
        return -1;
    snprintf(ret, size, "%s", json_is_string(value) ? json_string_value(value) : "");
    printable(ret);
    return 0;
}

/* "virtio-rng-pci 'rng0'"; without an id only what the bus tells. */
static int describe(struct monitor *m, const json_t *device, char *ret, size_t size,
                    struct error *err)
{
    const json_t *numbers = json_object_get(device, "id");
    char id[80], type[80];

    json_word(device, "qdev_id", "", id, sizeof(id));
    if (device_text(m, id, "type", type, sizeof(type), err) < 0)
        return -1;
    if (type[0])
        snprintf(ret, size, "%s '%s'", type, id);
    else
        snprintf(ret, size, "device %04x:%04x", (unsigned)json_count(numbers, "vendor"),
                 (unsigned)json_count(numbers, "device"));
    return 0;
}

int drive_check_devices(struct drive *d, struct error *err)
{
    json_auto_t *from = NULL, *to = NULL;
    char what[180], id[80], partner[80];

    if (drive_ask_perhaps(&d->from, "query-pci", NULL, &from, err) < 0 ||
        drive_ask_perhaps(&d->to, "query-pci", NULL, &to, err) < 0)
        return -1;
    const json_t *device = from && to ? missing(from, to) : NULL;
    if (!device)
        return 0;
    /* Half of a failover pair is unplugged for the migration, and hidden at TO until it is over. */
    json_word(device, "qdev_id", "", id, sizeof(id));
    if (device_text(&d->from, id, "failover_pair_id", partner, sizeof(partner), err) < 0 ||
        describe(&d->from, device, what, sizeof(what), err) < 0)
        return -1;
    if (partner[0])
        return 0;
    return err_set(err, ERR_USAGE,
                   "FROM has the PCI %s in slot %u, function %u, and TO has none there; start TO "
                   "with the same devices at the same addresses",
                   what, (unsigned)json_count(device, "slot"),
                   (unsigned)json_count(device, "function"));
}

/* --- notes ----------------------------------------------------------------------------------- */

static void note(const struct drive *d, const char *text)
{
    if (d->config.note)
        d->config.note(d->config.arg, text);
}

/* Disks that the guest may write: their names, and how many there are. */
static size_t disks_of(const json_t *blocks, char *ret, size_t size)
{
    json_t *block;
    size_t i, n = 0, len = 0;

    ret[0] = '\0';
    json_array_foreach(blocks, i, block)
    {
        const json_t *inserted = json_object_get(block, "inserted");
        char name[60], qdev[60];

        if (!inserted || json_is_true(json_object_get(inserted, "ro")))
            continue;
        json_word(block, "qdev", "?", qdev, sizeof(qdev));
        json_word(block, "device", "", name, sizeof(name));
        if (len < size)
            len += (size_t)snprintf(ret + len, size - len, "%s%s", n ? ", " : "",
                                    name[0] ? name : qdev);
        n++;
    }
    return n;
}

static int note_disks(struct drive *d, struct error *err)
{
    json_auto_t *blocks = NULL;
    char names[160], text[320];

    if (drive_ask_perhaps(&d->from, "query-block", NULL, &blocks, err) < 0)
        return -1;
    size_t n = disks_of(blocks, names, sizeof(names));
    if (n == 0)
        return 0;
    snprintf(text, sizeof(text),
             "the guest has %zu disk%s (%s), which %s not moved: TO must have opened the same %s, "
             "on storage that both reach",
             n, n == 1 ? "" : "s", names, n == 1 ? "is" : "are", n == 1 ? "one" : "ones");
    note(d, text);
    return 0;
}

static void note_older(const struct drive *d)
{
    char text[200];

    if (d->from.is_ramjet || d->to.is_ramjet || d->to.number >= d->from.number)
        return;
    snprintf(text, sizeof(text),
             "TO (%s) is older than FROM (%s): not each state of a newer QEMU can be loaded by an "
             "older one",
             d->to.version, d->from.version);
    note(d, text);
}

int drive_note(struct drive *d, struct error *err)
{
    note_older(d);
    return note_disks(d, err);
}
