/*
 * vmm/memory_backend.h: what a memory backend is to be: an object with an id, whose properties are
 * fixed when it is made. One table of them, for our command line and, under QEMU's names, for
 * object-add. Knows neither JSON nor KVM, and makes nothing.
 */
#pragma once

#include <stddef.h>

#include "vmm/memory_backing.h"

/* The id of the guest's main memory, which is at address 0. */
#define MEMORY_MAIN "pc.ram"

#define MEMORY_BACKENDS_MAX 64
#define MEMORY_MAPPED_MAX   15 /* of these, into a guest beside its main memory */

#define MEMORY_BACKEND_SYNTAX                                                                      \
    "id=ID,size=SIZE[,kind=KIND][,path=PATH][,page-size=2M|1G][,share=on|off][,migratable=on|off]" \
    "[,numa=NODES][,addr=ADDRESS]"

struct memory_backend_config {
    char id[RAM_BLOCK_NAME]; /* its RAM block's name, too */
    uint64_t bytes;
    enum memory_kind kind;
    enum memory_sharing sharing;
    uint64_t page_bytes; /* MEMORY_HUGETLB */
    char path[4096];     /* MEMORY_FILE */
    char numa[256];      /* empty: any node */
    bool mapped;         /* into the guest, from … */
    uint64_t address;    /* … this guest-physical address on */
    bool migratable;     /* never without `mapped`: rule B1 */
    bool huge, bind;     /* in QEMU's words: hugetlb=on, policy=bind */
    unsigned long said;  /* which rows of the table */
};

/* Whose names are spoken, and whose defaults hold. */
enum memory_words { MEMORY_OURS, MEMORY_QEMU, MEMORY_WORDS };

enum memory_property_type { MEMORY_TEXT, MEMORY_SIZE, MEMORY_SWITCH, MEMORY_NODES };

struct memory_property {
    const char *names[MEMORY_WORDS]; /* NULL: it is not said there */
    enum memory_property_type type;
    int (*set)(struct memory_backend_config *c, const char *value, struct error *err);
};
extern const struct memory_property memory_properties[];
extern const size_t n_memory_properties;

/* One property, as text: "on" and "off", "0,2-3", "16M". `c` was zeroed before the first. */
MUST_USE int memory_backend_say(struct memory_backend_config *c, enum memory_words words,
                                const char *name, const char *value, struct error *err);
/* All were said: fills in the others, and refuses what does not go together. */
MUST_USE int memory_backend_finish(struct memory_backend_config *c, enum memory_words words,
                                   struct error *err);
/* Both, out of MEMORY_BACKEND_SYNTAX; a comma within a value is doubled. ERR_USAGE. */
MUST_USE int memory_backend_parse(const char *text, struct memory_backend_config *ret,
                                  struct error *err);

/* What its memory is made of; points into `c`. */
struct memory_backing_config memory_backend_backing(const struct memory_backend_config *c);
/* As QEMU calls an object of that kind. */
const char *memory_backend_qom_type(const struct memory_backend_config *c);
