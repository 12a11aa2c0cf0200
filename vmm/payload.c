#include "vmm/payload.h"

#include <elf.h>
#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* More than any linker makes; limits the work that a file can cause. */
#define HEADERS_MAX 64

/* --- where it goes --------------------------------------------------------------------------- */

static bool overlaps(const struct payload_segment *a, const struct payload_segment *b)
{
    return a->address < b->address + b->bytes && b->address < a->address + a->bytes;
}

/* Refuses a segment that is not wholly in the file and in guest memory; no sum can overflow. */
static int add_segment(struct payload *p, const struct payload_segment *s, uint64_t memory_bytes,
                       struct error *err)
{
    if (s->offset > p->len || s->offset_bytes > p->len - s->offset)
        return err_set(err, ERR_USAGE, "%" PRIu64 " bytes at byte %" PRIu64 " of a file of %zu",
                       s->offset_bytes, s->offset, p->len);
    if (s->offset_bytes > s->bytes)
        return err_set(err, ERR_USAGE, "%" PRIu64 " bytes of the file for %" PRIu64 " of memory",
                       s->offset_bytes, s->bytes);
    if (s->address < GUEST_IMAGE || s->address > memory_bytes ||
        s->bytes > memory_bytes - s->address)
        return err_set(err, ERR_USAGE,
                       "%" PRIu64 " bytes at 0x%" PRIx64 ", expected within 0x%x to 0x%" PRIx64,
                       s->bytes, s->address, GUEST_IMAGE, memory_bytes);
    if (p->n_segments == PAYLOAD_SEGMENTS_MAX)
        return err_set(err, ERR_USAGE, "more than %d segments", PAYLOAD_SEGMENTS_MAX);
    for (size_t i = 0; i < p->n_segments; i++) {
        if (overlaps(s, &p->segments[i]))
            return err_set(err, ERR_USAGE, "overlaps the segment at 0x%" PRIx64,
                           p->segments[i].address);
    }
    p->segments[p->n_segments++] = *s;
    return 0;
}

static int parse_flat(struct payload *p, uint64_t memory_bytes, struct error *err)
{
    const struct payload_segment all = {
        .address = GUEST_IMAGE, .bytes = p->len, .offset_bytes = p->len};

    p->entry = GUEST_IMAGE;
    return add_segment(p, &all, memory_bytes, err);
}

/* --- ELF ------------------------------------------------------------------------------------- */

static bool is_elf(const uint8_t *file, size_t len)
{
    return len >= SELFMAG && memcmp(file, ELFMAG, SELFMAG) == 0;
}

static int check_header(const Elf64_Ehdr *h, struct error *err)
{
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
        le16toh(h->e_machine) != EM_X86_64)
        return err_set(err, ERR_USAGE, "ELF, but not of 64 bits for x86-64");
    if (le16toh(h->e_type) != ET_EXEC)
        return err_set(err, ERR_USAGE,
                       "ELF type %u, expected a program with fixed addresses (-static -no-pie)",
                       le16toh(h->e_type));
    if (le16toh(h->e_phentsize) != sizeof(Elf64_Phdr))
        return err_set(err, ERR_USAGE, "ELF program headers of %u bytes, expected %zu",
                       le16toh(h->e_phentsize), sizeof(Elf64_Phdr));
    if (le16toh(h->e_phnum) == 0 || le16toh(h->e_phnum) > HEADERS_MAX)
        return err_set(err, ERR_USAGE, "%u ELF program headers, expected 1 to %d",
                       le16toh(h->e_phnum), HEADERS_MAX);
    return 0;
}

static int take_program_header(struct payload *p, const Elf64_Phdr *h, uint64_t memory_bytes,
                               struct error *err)
{
    const struct payload_segment s = {
        .address = le64toh(h->p_vaddr),
        .bytes = le64toh(h->p_memsz),
        .offset = le64toh(h->p_offset),
        .offset_bytes = le64toh(h->p_filesz),
    };
    uint32_t type = le32toh(h->p_type);

    if (type == PT_INTERP || type == PT_DYNAMIC)
        return err_set(err, ERR_USAGE, "needs a dynamic linker, expected a static program");
    if (type != PT_LOAD || (s.bytes == 0 && s.offset_bytes == 0))
        return 0;
    return add_segment(p, &s, memory_bytes, err);
}

static int check_entry(const struct payload *p, struct error *err)
{
    for (size_t i = 0; i < p->n_segments; i++) {
        const struct payload_segment *s = &p->segments[i];

        if (p->entry >= s->address && p->entry - s->address < s->offset_bytes)
            return 0;
    }
    return err_set(err, ERR_USAGE, "entry 0x%" PRIx64 " is in no segment of the file", p->entry);
}

static int parse_elf(struct payload *p, const uint8_t *file, uint64_t memory_bytes,
                     struct error *err)
{
    Elf64_Ehdr header;
    Elf64_Phdr program;

    if (p->len < sizeof(header))
        return err_set(err, ERR_USAGE, "ELF, but cut off in its header");
    memcpy(&header, file, sizeof(header));
    if (check_header(&header, err) < 0)
        return -1;
    uint64_t at = le64toh(header.e_phoff), n = le16toh(header.e_phnum);
    if (at > p->len || n > (p->len - at) / sizeof(program))
        return err_set(err, ERR_USAGE, "ELF, but cut off in its program headers");
    for (uint64_t i = 0; i < n; i++) {
        memcpy(&program, file + at + i * sizeof(program), sizeof(program));
        if (take_program_header(p, &program, memory_bytes, err) < 0)
            return err_in(err, "ELF program header %" PRIu64, i);
    }
    p->entry = le64toh(header.e_entry);
    return check_entry(p, err);
}

/* --- the whole ------------------------------------------------------------------------------- */

int payload_parse(const uint8_t *file, size_t len, uint64_t memory_bytes, struct payload *ret,
                  struct error *err)
{
    struct payload p = {.len = len};

    if (len == 0)
        return err_set(err, ERR_USAGE, "it is empty");
    if ((is_elf(file, len) ? parse_elf(&p, file, memory_bytes, err)
                           : parse_flat(&p, memory_bytes, err)) < 0)
        return -1;
    *ret = p;
    return 0;
}

static int read_all(int fd, uint8_t *bytes, size_t len, struct error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, bytes + done, len - done);

        if (n < 0)
            return err_sys(err, "reading it");
        if (n == 0)
            return err_set(err, ERR_USAGE, "it has become shorter");
        done += (size_t)n;
    }
    return 0;
}

static int read_file(const char *path, uint8_t **ret, size_t *ret_len, struct error *err)
{
    /* O_NONBLOCK: a pipe is refused, without a wait for its writer. */
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat about;

    if (fd < 0 || fstat(fd, &about) < 0)
        return err_sys(err, "opening it");
    if (!S_ISREG(about.st_mode) || (uint64_t)about.st_size > PAYLOAD_FILE_MAX)
        return err_set(err, ERR_USAGE, "expected a file of at most %" PRIu64 " MiB",
                       PAYLOAD_FILE_MAX >> 20);
    uint8_t *bytes = malloc((size_t)about.st_size + 1);
    if (!bytes)
        return err_sys(err, "memory for it");
    if (read_all(fd, bytes, (size_t)about.st_size, err) < 0) {
        free(bytes);
        return -1;
    }
    *ret = bytes;
    *ret_len = (size_t)about.st_size;
    return 0;
}

int payload_open(const char *path, uint64_t memory_bytes, struct payload *ret, struct error *err)
{
    uint8_t *file = NULL;
    size_t len = 0;

    if (read_file(path, &file, &len, err) < 0)
        return err_in(err, "payload %.200s", path);
    if (payload_parse(file, len, memory_bytes, ret, err) < 0) {
        free(file);
        return err_in(err, "payload %.200s", path);
    }
    ret->file = file;
    return 0;
}

void payload_done(struct payload *p)
{
    free(p->file);
    *p = (struct payload){0};
}

void payload_load(const struct payload *p, struct ram_block *b)
{
    for (size_t i = 0; i < p->n_segments; i++) {
        const struct payload_segment *s = &p->segments[i];

        memcpy(b->host + s->address, p->file + s->offset, s->offset_bytes);
    }
}
