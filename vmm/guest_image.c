#include "vmm/guest_image.h"

#include <string.h>

/* Embeds a file, unchanged, between two symbols. */
#define EMBED(symbol, path)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".balign 16\n" #symbol ":\n"                                                           \
            ".incbin \"" path "\"\n" #symbol "_end:\n"                                             \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const uint8_t symbol[], symbol##_end[]

EMBED(guest_counter, GUEST_COUNTER_IMAGE);
EMBED(guest_dirtier, GUEST_DIRTIER_IMAGE);
EMBED(guest_idle, GUEST_IDLE_IMAGE);

static const struct guest_image images[] = {
    {"counter", guest_counter, guest_counter_end},
    {"dirtier", guest_dirtier, guest_dirtier_end},
    {"idle", guest_idle, guest_idle_end},
};

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
