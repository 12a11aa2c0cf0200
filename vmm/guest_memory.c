#include "vmm/guest_memory.h"

#include <inttypes.h>
#include <string.h>

/* A page table entry (Intel SDM, volume 3, 4.5). */
#define PTE_PRESENT  UINT64_C(0x01)
#define PTE_WRITABLE UINT64_C(0x02)
#define PTE_USER     UINT64_C(0x04)
#define PTE_HUGE     UINT64_C(0x80) /* in a page directory: 2 MiB */

/* The guest is at CPL3: the user bit at every level. */
#define PTE_ALL (PTE_PRESENT | PTE_WRITABLE | PTE_USER)

#define TABLE_ENTRIES 512

int guest_memory_check(uint64_t bytes, struct error *err)
{
    if (bytes < GUEST_MEMORY_MIN || bytes > GUEST_MEMORY_MAX ||
        !IS_ALIGNED(bytes, GUEST_MEMORY_UNIT))
        return err_set(err, ERR_USAGE,
                       "%" PRIu64 " bytes of memory, expected a multiple of 2M from 4M to 3G",
                       bytes);
    return 0;
}

/* Every address is its own. */
static void map_all(struct ram_block *b)
{
    uint64_t *pml4 = (uint64_t *)(b->host + GUEST_PAGE_TABLES), *pdpt = pml4 + TABLE_ENTRIES;
    uint64_t *directory = pdpt + TABLE_ENTRIES; /* one behind the other: entries go on */
    uint64_t directory_at = GUEST_PAGE_TABLES + UINT64_C(2) * RAM_PAGE_SIZE;

    pml4[0] = (GUEST_PAGE_TABLES + RAM_PAGE_SIZE) | PTE_ALL;
    for (uint64_t at = 0; at < b->used_bytes; at += GUEST_MEMORY_UNIT) {
        uint64_t entry = at / GUEST_MEMORY_UNIT;

        directory[entry] = at | PTE_ALL | PTE_HUGE;
        pdpt[entry / TABLE_ENTRIES] =
            (directory_at + entry / TABLE_ENTRIES * RAM_PAGE_SIZE) | PTE_ALL;
    }
}

int guest_memory_load(struct ram_block *b, const struct guest_image *image, struct error *err)
{
    size_t len = (size_t)(image->end - image->start);

    if (len == 0 || len > GUEST_IMAGE_MAX_BYTES)
        return err_set(err, ERR_USAGE, "guest '%s': %zu bytes, expected 1 to %d", image->name, len,
                       GUEST_IMAGE_MAX_BYTES);
    map_all(b);
    memcpy(b->host + GUEST_IMAGE, image->start, len);
    return 0;
}

void guest_memory_params(struct ram_block *b, unsigned vcpu, const struct guest_params *params)
{
    memcpy(b->host + GUEST_PARAMS + (uint64_t)vcpu * RAM_PAGE_SIZE, params, sizeof(*params));
}
