/* A guest that writes into several RAM blocks while it is migrated. */
#include "base/clock.h"
#include "tests/support/guests.h"
#include "tests/support/memory.h"
#include "tests/support/move.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

#define MIB    (UINT64_C(1) << 20)
#define MEMORY (16 * MIB)

/*
 * Counts, and writes the count into a page of each block and of its own memory, the next page each
 * time; sends a heartbeat after each round of 1024 pages.
 */
__asm__(".pushsection .rodata\n"
        "blocks_guest:\n"
        "  mov $0x4000000, %r8\n"       /* near */
        "  movabs $0x140000000, %r9\n"  /* far */
        "  movabs $0x1c0000000, %r10\n" /* stays */
        "  mov $0x400000, %r11\n"       /* its own */
        "  xor %esi, %esi\n"
        "  xor %ecx, %ecx\n"
        "1: xor %ebx, %ebx\n"
        "2: inc %rcx\n"
        "  mov %rcx, (%r8, %rbx)\n"
        "  mov %rcx, 8(%r9, %rbx)\n"
        "  mov %rcx, 16(%r10, %rbx)\n"
        "  mov %rcx, 24(%r11, %rbx)\n"
        "  add $0x1000, %rbx\n"
        "  cmp $0x400000, %rbx\n"
        "  jne 2b\n"
        "  rdtsc\n"
        "  shl $32, %rdx\n"
        "  lea (%rax, %rdx), %rdi\n"
        "  mov $0x510, %edx\n"
        "  out %eax, %dx\n"
        "  jmp 1b\n"
        "blocks_guest_end:\n"
        ".popsection\n");
extern const uint8_t blocks_guest[], blocks_guest_end[];

#define NEAR  "id=near,size=4M,kind=memfd,addr=0x4000000"
#define FAR   "id=far,size=4M,addr=0x140000000"
#define STAYS "id=stays,size=4M,addr=0x1c0000000,migratable=off"

static struct machine *make(const char *label, enum dirty_kind dirty, bool incoming)
{
    static const char *const texts[] = {NEAR, FAR, STAYS};
    struct memory_backend_config more[ARRAY_LEN(texts)];
    char path[PATH_MAX];
    struct machine_guest_config config = {.payload = incoming ? NULL : temp_path(path, "blocks"),
                                          .incoming = incoming,
                                          .bytes = MEMORY,
                                          .cpus = 1,
                                          .dirty = dirty,
                                          .more = more,
                                          .n_more = ARRAY_LEN(more)};
    struct error err;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        OK(memory_backend_parse(texts[i], &more[i], &err), err, texts[i]);
    if (!incoming)
        file_write(path, blocks_guest, (size_t)(blocks_guest_end - blocks_guest));
    return guest_new(label, &config);
}

static uint64_t *words_of(struct machine *m, const char *name, uint64_t page)
{
    return (uint64_t *)(ram_map_find(&m->ram, name)->host + page * RAM_PAGE_SIZE);
}

/* Both guests are paused. The blocks that travel are equal and hold the last count; the block that
 * stays is empty at the destination. */
static void check_arrived(const char *label, struct machine *from, struct machine *to)
{
    CHECK(words_of(from, "near", 0)[0] > 0 && words_of(from, "far", 1023)[1] > 0 &&
              words_of(from, "stays", 0)[2] > 0,
          "%s: the guest has not written", label);
    CHECK(words_of(to, "stays", 0)[2] == 0, "%s: a page of what stays has come", label);
    struct ram_block *stays = ram_map_find(&from->ram, "stays");
    memset(stays->host, 0, stays->used_bytes);
    memory_check_equal(label, &from->ram, &to->ram);
}

static void try_one(enum dirty_kind dirty, unsigned n_channels)
{
    char label[64];
    struct error err;

    snprintf(label, sizeof(label), "%s, %u channels", dirty_kind_name(dirty), n_channels);
    if (dirty_kind_usable(dirty, &err) < 0) {
        print_message("skipped: %s: %s\n", label, err.text);
        return;
    }
    struct machine *from = make(label, dirty, false), *to = make(label, dirty, true);
    const struct move move = {
        .label = label,
        .config = {.n_channels = n_channels, .return_path = true, .live.downtime_limit_ms = 300}};

    machine_resume(from, MACHINE_PAUSED);
    guest_await(label, from, 5);
    move_machine(&move, from, to);
    check_arrived(label, from, to);
    uint64_t count = words_of(to, "near", 0)[0];
    struct guest_verdict before;
    guest_report_verdict(machine_guest_report(to), &before);
    machine_resume(to, MACHINE_PAUSED);
    guest_await(label, to, before.heartbeats + 5);
    OK(machine_stop(to, MACHINE_PAUSED, &err), err, label);
    CHECK(words_of(to, "near", 0)[0] > count && words_of(to, "far", 0)[1] > count &&
              words_of(to, "stays", 0)[2] > count,
          "%s: it does not go on", label);
    machine_free(from);
    machine_free(to);
}

static void every_block_is_watched(void **state)
{
    (void)state;
    for (int kind = 0; kind < DIRTY_KINDS; kind++) {
        for (unsigned n_channels = 0; n_channels <= 2; n_channels += 2)
            try_one((enum dirty_kind)kind, n_channels);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_block_is_watched)};
    struct error err;

    if (machine_kvm_usable(&err) < 0)
        skip_all(err.text);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
