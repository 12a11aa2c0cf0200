/*
 * vmm/guest_image.h: the built-in payloads, by name.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct guest_image {
    const char *name;
    const uint8_t *start, *end; /* the bytes that go to GUEST_IMAGE */
};

/* NULL if there is none of that name. */
const struct guest_image *guest_image_find(const char *name);
/* Their names, separated by commas, for an error message. */
const char *guest_image_names(void);
