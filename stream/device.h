/*
 * stream/device.h: device sections of a machine whose devices are known: each a name, an instance
 * and a table of fields (stream/fields.h). Written as a device tail, and found again in one.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "stream/fields.h"

#define DEVICE_VERSION 1 /* of every section */

struct device {
    const char *name;
    uint32_t instance;
    const struct field_table *fields;
    void *state; /* the struct that `fields` is about; read by save, written by load */
};

/* Puts all sections, the EOF byte and the description into `tail`, in place of what it holds. */
MUST_USE int devices_save(const struct device *devices, size_t n, struct buf *tail,
                          struct error *err);
/*
 * Reads a tail that description_check() has to agree with: all of `devices`, in any order, and no
 * other. ERR_PEER tells the first that is missing, unknown, of another version or length.
 */
MUST_USE int devices_load(const struct device *devices, size_t n, const struct buf *early,
                          const struct buf *tail, struct error *err);
