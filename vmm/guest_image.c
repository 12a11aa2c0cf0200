#include "vmm/guest_image.h"

#include <string.h>

/* Puts a file as it is between two symbols. */
#define EMBED(symbol, path)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".balign 16\n" #symbol ":\n"                                                           \
            ".incbin \"" path "\"\n" #symbol "_end:\n"                                             \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const uint8_t symbol[], symbol##_end[]

EMBED(guest_counter, GUEST_COUNTER_IMAGE);

static const struct guest_image images[] = {
    {"counter", guest_counter, guest_counter_end},
};

int guest_image_find(const char *name, const struct guest_image **ret, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(images); i++) {
        if (strcmp(images[i].name, name) == 0) {
            *ret = &images[i];
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, "guest '%.40s': expected counter", name);
}
