/*
 * vmm/guest_image.h: the payloads that are built in, by name.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct guest_image {
    const char *name;
    const uint8_t *start, *end; /* what lies at GUEST_IMAGE */
};

/* NULL if there is none of that name. */
const struct guest_image *guest_image_find(const char *name);
/* Their names with commas between, for whoever has asked for another. */
const char *guest_image_names(void);
