/*
 * vmm/guest_image.h: the payloads that are built in, by name.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct guest_image {
    const char *name;
    const uint8_t *start, *end; /* what lies at GUEST_IMAGE */
};

/* Fails with ERR_USAGE, telling the names there are. */
MUST_USE int guest_image_find(const char *name, const struct guest_image **ret, struct error *err);
