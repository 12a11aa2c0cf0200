/*
 * stream/device.h: the device sections of a machine whose devices are known. Each device has a
 * name, an instance and a table of fields (stream/fields.h). Writes and reads device tails.
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
    void *state; /* the struct that `fields` describes; read by save, written by load */
};

/* Replaces the contents of `tail` with all sections, the EOF byte and the description. */
MUST_USE int devices_save(const struct device *devices, size_t n, struct buf *tail,
                          struct error *err);
/*
 * Reads a tail that must pass description_check() and have exactly these devices, in any order.
 * ERR_PEER names the first device that is missing, unknown, or of another version or length.
 */
MUST_USE int devices_load(const struct device *devices, size_t n, const struct buf *early,
                          const struct buf *tail, struct error *err);
