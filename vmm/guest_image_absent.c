#include <string.h>

#include "vmm/guest_image.h"

/* Payloads are x86-64; elsewhere they run as threads (vmm/machine_synth_guest.h), and have names.
 */
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
