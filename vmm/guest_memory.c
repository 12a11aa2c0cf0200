#include "vmm/guest_memory.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* A page table entry (Intel SDM, volume 3, 4.5). */
#define PTE_PRESENT  UINT64_C(0x01)
#define PTE_WRITABLE UINT64_C(0x02)
#define PTE_USER     UINT64_C(0x04)
#define PTE_UNCACHED UINT64_C(0x18) /* both bits: whatever the PAT says */
#define PTE_HUGE     UINT64_C(0x80) /* in a page directory: 2 MiB */

/* The guest is at CPL3: the user bit at every level. */
#define PTE_ALL (PTE_PRESENT | PTE_WRITABLE | PTE_USER)

#define TABLE_ENTRIES 512
#define GIB_BITS      30

/* Descriptors of 64-bit code and of data, flat, DPL 3, accessed (Intel SDM, volume 3, 3.4.5). */
#define DESCRIPTOR_CODE UINT64_C(0x00affb000000ffff)
#define DESCRIPTOR_DATA UINT64_C(0x00cff3000000ffff)

static_assert(GUEST_DIRECTORIES + (GUEST_MEMORY_MAX >> GIB_BITS) * RAM_PAGE_SIZE <= GUEST_IMAGE,
              "page directories reach into the payload");
static_assert(GUEST_STACKS + GUEST_CPUS_MAX * GUEST_STACK_BYTES <= GUEST_DIRECTORIES,
              "stacks reach into the page directories");
static_assert(GUEST_LAPIC >= GUEST_MEMORY_MAX, "the local APIC is mapped over memory");

int guest_memory_check(uint64_t bytes, struct error *err)
{
    if (bytes < GUEST_MEMORY_MIN || bytes > GUEST_MEMORY_MAX ||
        !IS_ALIGNED(bytes, GUEST_MEMORY_UNIT))
        return err_set(err, ERR_USAGE,
                       "%" PRIu64 " bytes of memory, expected a multiple of 2M from 4M to 64G",
                       bytes);
    return 0;
}

static uint64_t *table_at(struct ram_block *b, uint64_t address)
{
    return (uint64_t *)(b->host + address);
}

static void map_memory(struct ram_block *b, uint64_t *pdpt)
{
    uint64_t *directory = table_at(b, GUEST_DIRECTORIES); /* one behind the other: entries go on */

    for (uint64_t at = 0; at < b->used_bytes; at += GUEST_MEMORY_UNIT)
        directory[at / GUEST_MEMORY_UNIT] = guest_memory_physical(at) | PTE_ALL | PTE_HUGE;
    for (uint64_t gib = 0; gib << GIB_BITS < b->used_bytes; gib++)
        pdpt[gib] = (GUEST_DIRECTORIES + gib * RAM_PAGE_SIZE) | PTE_ALL;
}

/* A huge page with nothing else in it that answers. */
static void map_lapic(struct ram_block *b, uint64_t *pdpt)
{
    uint64_t directory = GUEST_PAGE_TABLES + UINT64_C(2) * RAM_PAGE_SIZE;

    table_at(b, directory)[0] = GUEST_LAPIC_PAGE | PTE_ALL | PTE_UNCACHED | PTE_HUGE;
    pdpt[GUEST_LAPIC >> GIB_BITS] = directory | PTE_ALL;
}

static void map_all(struct ram_block *b)
{
    uint64_t pdpt = GUEST_PAGE_TABLES + RAM_PAGE_SIZE;

    table_at(b, GUEST_PAGE_TABLES)[0] = pdpt | PTE_ALL;
    map_memory(b, table_at(b, pdpt));
    map_lapic(b, table_at(b, pdpt));
}

/* What IRETQ and an interrupt read; the IDT stays empty. */
static void describe(struct ram_block *b)
{
    uint64_t *gdt = table_at(b, GUEST_GDT);

    gdt[GUEST_DATA / sizeof(uint64_t)] = DESCRIPTOR_DATA;
    gdt[GUEST_CODE / sizeof(uint64_t)] = DESCRIPTOR_CODE;
}

void guest_memory_lay_out(struct ram_block *b)
{
    map_all(b);
    describe(b);
}

int guest_memory_load(struct ram_block *b, const struct guest_image *image, struct error *err)
{
    size_t len = (size_t)(image->end - image->start);

    if (len == 0 || len > GUEST_IMAGE_MAX_BYTES)
        return err_set(err, ERR_USAGE, "guest '%s': %zu bytes, expected 1 to %d", image->name, len,
                       GUEST_IMAGE_MAX_BYTES);
    guest_memory_lay_out(b);
    memcpy(b->host + GUEST_IMAGE, image->start, len);
    return 0;
}

void guest_memory_params(struct ram_block *b, unsigned vcpu, const struct guest_params *params)
{
    memcpy(b->host + GUEST_PARAMS + (uint64_t)vcpu * RAM_PAGE_SIZE, params, sizeof(*params));
}
