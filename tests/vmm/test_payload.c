#include "vmm/payload.h"

#include <elf.h>
#include <inttypes.h>

#include "tests/support/temp.h"
#include "tests/support/test.h"

#define MEMORY     (UINT64_C(16) << 20)
#define HEADER     sizeof(Elf64_Ehdr)
#define CODE       (HEADER + 2 * sizeof(Elf64_Phdr)) /* where it begins in the file */
#define FILE_BYTES (CODE + 64)

/* A program of two segments: code at 1 MiB with its entry, and data with a tail of zeros. */
struct program {
    Elf64_Ehdr header;
    Elf64_Phdr segments[2];
    uint8_t bytes[64];
};

static void make_program(struct program *p)
{
    *p = (struct program){
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                               EV_CURRENT},
                   .e_type = ET_EXEC,
                   .e_machine = EM_X86_64,
                   .e_version = EV_CURRENT,
                   .e_entry = GUEST_IMAGE + 16,
                   .e_phoff = HEADER,
                   .e_ehsize = HEADER,
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 2},
        .segments = {{.p_type = PT_LOAD,
                      .p_offset = CODE,
                      .p_vaddr = GUEST_IMAGE,
                      .p_filesz = 32,
                      .p_memsz = 32},
                     {.p_type = PT_LOAD,
                      .p_offset = CODE + 32,
                      .p_vaddr = 0x300000,
                      .p_filesz = 32,
                      .p_memsz = 4096}},
    };
    for (size_t i = 0; i < sizeof(p->bytes); i++)
        p->bytes[i] = (uint8_t)(i + 1);
}

/* One field of it gets another value. */
static const struct elf_case {
    const char *label;
    size_t offset, bytes;
    uint64_t value;
    const char *refused; /* a part of the reason, or NULL where it must pass */
} elf_cases[] = {
#define AT(m)       offsetof(struct program, m), sizeof(((struct program *)0)->m)
#define SEGMENT(m)  AT(segments[0].m)
#define SEGMENT1(m) AT(segments[1].m)
    {"as it is", AT(header.e_flags), 0, NULL},
    {"32 bits", AT(header.e_ident[EI_CLASS]), ELFCLASS32, "not of 64 bits"},
    {"big-endian", AT(header.e_ident[EI_DATA]), ELFDATA2MSB, "not of 64 bits"},
    {"for ARM", AT(header.e_machine), EM_AARCH64, "not of 64 bits for x86-64"},
    {"an object file", AT(header.e_type), ET_REL, "ELF type 1"},
    {"a PIE", AT(header.e_type), ET_DYN, "ELF type 3, expected a program with fixed addresses"},
    {"other headers", AT(header.e_phentsize), 32, "headers of 32 bytes"},
    {"no headers", AT(header.e_phnum), 0, "0 ELF program headers"},
    {"many headers", AT(header.e_phnum), 65, "65 ELF program headers"},
    {"a header behind the end", AT(header.e_phnum), 4, "cut off in its program headers"},
    {"headers behind the end", AT(header.e_phoff), FILE_BYTES + 1, "cut off in its program"},
    {"headers at the end of all", AT(header.e_phoff), UINT64_MAX, "cut off in its program"},
    {"the last headers that fit", AT(header.e_phoff), FILE_BYTES - 2 * sizeof(Elf64_Phdr) + 1,
     "cut off in its program"},
    {"an entry before all", AT(header.e_entry), GUEST_IMAGE - 1, "entry 0xfffff"},
    {"an entry at the last byte", AT(header.e_entry), GUEST_IMAGE + 31, NULL},
    {"an entry behind the code", AT(header.e_entry), GUEST_IMAGE + 32, "in no segment"},
    {"an entry among the zeros", AT(header.e_entry), 0x300000 + 32, "in no segment"},
    {"an entry at the end of all", AT(header.e_entry), UINT64_MAX, "in no segment"},
    {"an interpreter", SEGMENT(p_type), PT_INTERP, "dynamic linker"},
    {"dynamic", SEGMENT1(p_type), PT_DYNAMIC, "program header 1: needs a dynamic linker"},
    {"a note instead of code", SEGMENT(p_type), PT_NOTE, "in no segment"},
    {"a note instead of data", SEGMENT1(p_type), PT_NOTE, NULL},
    {"nothing", SEGMENT1(p_memsz), 0, "32 bytes of the file for 0 of memory"},
    {"more file than memory", SEGMENT(p_filesz), 33, "33 bytes of the file for 32"},
    {"all of the file", SEGMENT1(p_offset), FILE_BYTES - 32, NULL},
    {"a byte behind the file", SEGMENT1(p_offset), FILE_BYTES - 31, "of a file of"},
    {"far behind the file", SEGMENT1(p_offset), UINT64_MAX - 8, "of a file of"},
    {"over the page tables", SEGMENT1(p_vaddr), 0x1000, "expected within 0x100000"},
    {"a byte too low", SEGMENT1(p_vaddr), GUEST_IMAGE - 1, "expected within 0x100000"},
    {"to the end of memory", SEGMENT1(p_vaddr), MEMORY - 4096, NULL},
    {"a byte behind it", SEGMENT1(p_vaddr), MEMORY - 4095, "expected within"},
    {"behind it", SEGMENT1(p_vaddr), MEMORY + 1, "expected within"},
    {"around the end of all", SEGMENT1(p_vaddr), UINT64_MAX - 100, "expected within"},
    {"more than memory", SEGMENT1(p_memsz), MEMORY, "expected within"},
    {"more than all", SEGMENT1(p_memsz), UINT64_MAX, "expected within"},
    {"over the code", SEGMENT1(p_vaddr), GUEST_IMAGE + 31, "overlaps the segment at 0x100000"},
    {"next to the code", SEGMENT1(p_vaddr), GUEST_IMAGE + 32, NULL},
    {"around the code", SEGMENT(p_memsz), 0x300000, "overlaps"},
#undef AT
};

static void knows_elf(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(elf_cases); i++) {
        const struct elf_case *c = &elf_cases[i];
        struct payload payload = {.entry = 7};
        struct program program;
        struct error err;

        make_program(&program);
        memcpy((char *)&program + c->offset, &c->value, c->bytes);
        int rc = payload_parse((uint8_t *)&program, FILE_BYTES, MEMORY, &payload, &err);
        if (c->refused) {
            check_refused(c->label, rc, &err, ERR_USAGE, c->refused);
            CHECK(payload.entry == 7, "%s: has been written to", c->label);
        } else {
            OK(rc, err, c->label);
        }
    }
}

/* A cut file is refused, wherever it ends. */
static void knows_cut_files(void **state)
{
    struct program program;

    (void)state;
    make_program(&program);
    for (size_t len = SELFMAG; len <= FILE_BYTES; len++) {
        uint8_t *copy = malloc(len); /* so that a sanitizer sees its end */
        struct payload payload;
        struct error err;

        assert_non_null(copy);
        memcpy(copy, &program, len);
        int rc = payload_parse(copy, len, MEMORY, &payload, &err);
        CHECK((rc == 0) == (len == FILE_BYTES), "%zu bytes: %d", len, rc);
        free(copy);
    }
}

static void refuses_too_many_segments(void **state)
{
    enum { N = PAYLOAD_SEGMENTS_MAX + 1 };
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segments[N];
    } file = {0};
    struct program program;
    struct payload payload;
    struct error err;

    (void)state;
    make_program(&program);
    file.header = program.header;
    for (unsigned i = 0; i < N; i++)
        file.segments[i] = (Elf64_Phdr){.p_type = PT_LOAD,
                                        .p_vaddr = GUEST_IMAGE + i * UINT64_C(4096),
                                        .p_filesz = 32,
                                        .p_memsz = 4096};
    file.header.e_phnum = N;
    check_refused("17 segments",
                  payload_parse((uint8_t *)&file, sizeof(file), MEMORY, &payload, &err), &err,
                  ERR_USAGE, "more than 16 segments");
    file.header.e_phnum = N - 1;
    OK(payload_parse((uint8_t *)&file, sizeof(file), MEMORY, &payload, &err), err, "16 segments");
}

static void knows_flat_files(void **state)
{
    static const uint8_t bytes[] = {0x0f, 0x0b};
    uint64_t most = MEMORY - GUEST_IMAGE;
    uint8_t *large = calloc(1, most + 1);
    struct payload payload;
    struct error err;

    (void)state;
    assert_non_null(large);
    OK(payload_parse(bytes, sizeof(bytes), MEMORY, &payload, &err), err, "two bytes");
    CHECK(payload.entry == GUEST_IMAGE && payload.n_segments == 1, "not at its place");
    OK(payload_parse(large, most, MEMORY, &payload, &err), err, "all of memory");
    check_refused("more", payload_parse(large, most + 1, MEMORY, &payload, &err), &err, ERR_USAGE,
                  "expected within 0x100000 to 0x1000000");
    check_refused("nothing", payload_parse(large, 0, MEMORY, &payload, &err), &err, ERR_USAGE,
                  "empty");
    free(large);
}

static void loads_a_file(void **state)
{
    char path[PATH_MAX];
    struct program program;
    struct payload payload;
    struct ram_map map = {0};
    struct error err;

    (void)state;
    make_program(&program);
    temp_path(path, "payload");
    check_refused("no file", payload_open(path, MEMORY, &payload, &err), &err, ERR_SYSTEM,
                  "payload: opening it");
    check_refused("a folder", payload_open(temp_dir(), MEMORY, &payload, &err), &err, ERR_USAGE,
                  "expected a file");
    file_write(path, &program, FILE_BYTES - 1);
    check_refused("a cut file", payload_open(path, MEMORY, &payload, &err), &err, ERR_USAGE,
                  "/payload: ELF program header 1");
    file_write(path, &program, FILE_BYTES);
    OK(payload_open(path, MEMORY, &payload, &err), err, "a program");
    CHECK(payload.entry == GUEST_IMAGE + 16, "entry 0x%" PRIx64, payload.entry);

    OK(ram_map_add(&map, "pc.ram", MEMORY, &err), err, "block");
    OK(ram_block_map_anonymous(&map.blocks[0], &err), err, "memory");
    payload_load(&payload, &map.blocks[0]);
    const uint8_t *memory = map.blocks[0].host;
    CHECK(memcmp(memory + GUEST_IMAGE, program.bytes, 32) == 0 && memory[GUEST_IMAGE + 32] == 0 &&
              memory[GUEST_IMAGE - 1] == 0,
          "code");
    CHECK(memcmp(memory + 0x300000, program.bytes + 32, 32) == 0 && memory[0x300020] == 0, "data");
    payload_done(&payload);
    ram_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_elf),
        cmocka_unit_test(knows_cut_files),
        cmocka_unit_test(refuses_too_many_segments),
        cmocka_unit_test(knows_flat_files),
        cmocka_unit_test(loads_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
