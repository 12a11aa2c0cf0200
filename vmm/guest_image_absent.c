#include <string.h>

#include "vmm/guest_image.h"

/* Images of payloads are x86-64 code. On other hosts payloads run as threads
 * (vmm/machine_synth_guest.h), for which their names are enough. */
static const struct guest_image images[] = {
    {.name = "counter"}, {.name = "dirtier"}, {.name = "idle"}};

const struct guest_image *guest_image_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(images); i++) {
        if (strcmp(images[i].name, name) == 0)
            return &images[i];
    }
    return NULL;
}

const char *guest_image_names(void)
{
    return "counter, dirtier, idle";
}
