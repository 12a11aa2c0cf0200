#include "vmm/guest_memory.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* A page table entry (Intel SDM, volume 3, 4.5). */
#define PTE_PRESENT  UINT64_C(0x01)
#define PTE_WRITABLE UINT64_C(0x02)
#define PTE_USER     UINT64_C(0x04)
#define PTE_UNCACHED UINT64_C(0x18) /* both bits: uncached, whatever the PAT says */
#define PTE_HUGE     UINT64_C(0x80) /* in a page directory: 2 MiB */

/* The guest runs at CPL3, so every level has the user bit. */
#define PTE_ALL (PTE_PRESENT | PTE_WRITABLE | PTE_USER)

#define TABLE_ENTRIES 512
#define GIB_BITS      30

/* Descriptors of 64-bit code and of data, flat, DPL 3, accessed (Intel SDM, volume 3, 3.4.5). */
#define DESCRIPTOR_CODE UINT64_C(0x00affb000000ffff)
#define DESCRIPTOR_DATA UINT64_C(0x00cff3000000ffff)

/* Page directories of other blocks come after those of main memory. */
#define SPARE_DIRECTORIES (GUEST_DIRECTORIES + (GUEST_MEMORY_MAX >> GIB_BITS) * RAM_PAGE_SIZE)
#define SPARE_N           ((GUEST_IMAGE - SPARE_DIRECTORIES) / RAM_PAGE_SIZE)

static_assert(SPARE_DIRECTORIES < GUEST_IMAGE, "page directories reach into the payload");
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
    uint64_t *directory = table_at(b, GUEST_DIRECTORIES); /* all of them, contiguous */

    for (uint64_t at = 0; at < b->used_bytes; at += GUEST_MEMORY_UNIT)
        directory[at / GUEST_MEMORY_UNIT] = guest_memory_physical(at) | PTE_ALL | PTE_HUGE;
    for (uint64_t gib = 0; gib << GIB_BITS < b->used_bytes; gib++)
        pdpt[gib] = (GUEST_DIRECTORIES + gib * RAM_PAGE_SIZE) | PTE_ALL;
}

/* Maps a whole huge page, in which nothing but the local APIC answers. */
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

/* Writes the descriptors that IRETQ and interrupts read; the IDT stays empty. */
static void describe(struct ram_block *b)
{
    uint64_t *gdt = table_at(b, GUEST_GDT);

    gdt[GUEST_DATA / sizeof(uint64_t)] = DESCRIPTOR_DATA;
    gdt[GUEST_CODE / sizeof(uint64_t)] = DESCRIPTOR_CODE;
}

/* --- other blocks ---------------------------------------------------------------------------- */

/* Physical addresses that are taken. */
struct range {
    uint64_t start, end;
    const char *what;
};

static int check_free(const struct range *taken, uint64_t address, uint64_t end, struct error *err)
{
    if (address >= taken->end || end <= taken->start)
        return 0;
    return err_set(err, ERR_USAGE,
                   "at 0x%" PRIx64 " to 0x%" PRIx64 " it overlaps %s, 0x%" PRIx64 " to 0x%" PRIx64,
                   address, end, taken->what, taken->start, taken->end);
}

int guest_memory_check_place(uint64_t main_bytes, uint64_t address, uint64_t bytes,
                             uint64_t *directories, struct error *err)
{
    uint64_t high = MAX(main_bytes, (uint64_t)GUEST_LOW_MAX) - GUEST_LOW_MAX;
    const struct range taken[] = {
        {0, MIN(main_bytes, (uint64_t)GUEST_LOW_MAX), "the guest's main memory"},
        {GUEST_LOW_MAX, GUEST_HIGH_START, "x86's devices"},
        {GUEST_HIGH_START, GUEST_HIGH_START + high, "the guest's main memory"},
        {GUEST_LAPIC, GUEST_LAPIC + (UINT64_C(1) << GIB_BITS), "the local APIC"},
    };

    if (!IS_ALIGNED(address, GUEST_MEMORY_UNIT) || !IS_ALIGNED(bytes, GUEST_MEMORY_UNIT))
        return err_set(err, ERR_USAGE,
                       "0x%" PRIx64 " bytes at 0x%" PRIx64 ", expected multiples of 2M", bytes,
                       address);
    if (address >= GUEST_ADDRESS_END || bytes > GUEST_ADDRESS_END - address)
        return err_set(err, ERR_USAGE, "0x%" PRIx64 " bytes at 0x%" PRIx64 ", expected below 512G",
                       bytes, address);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        if (check_free(&taken[i], address, address + bytes, err) < 0)
            return -1;
    }
    *directories += ((address + bytes - 1) >> GIB_BITS) - (address >> GIB_BITS) + 1;
    if (*directories > SPARE_N)
        return err_set(err, ERR_USAGE,
                       "it reaches into too many GiB: the page tables have room for %d of them",
                       (int)SPARE_N);
    return 0;
}

/* The page directory of a GiB: main memory's, one that another block has added, or a new one. */
static uint64_t *directory_of(struct ram_block *b, uint64_t *pdpt, uint64_t gib)
{
    uint64_t next = SPARE_DIRECTORIES;

    for (size_t i = 0; i < TABLE_ENTRIES; i++) {
        uint64_t at = pdpt[i] & ~(uint64_t)(RAM_PAGE_SIZE - 1);

        next = MAX(next, at + RAM_PAGE_SIZE);
    }
    if (!pdpt[gib])
        pdpt[gib] = next | PTE_ALL;
    return table_at(b, pdpt[gib] & ~(uint64_t)(RAM_PAGE_SIZE - 1));
}

void guest_memory_map_more(struct ram_block *main, uint64_t address, uint64_t bytes)
{
    uint64_t *pdpt = table_at(main, GUEST_PAGE_TABLES + RAM_PAGE_SIZE);

    for (uint64_t at = address; at < address + bytes; at += GUEST_MEMORY_UNIT)
        directory_of(main, pdpt, at >> GIB_BITS)[at / GUEST_MEMORY_UNIT % TABLE_ENTRIES] =
            at | PTE_ALL | PTE_HUGE;
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
