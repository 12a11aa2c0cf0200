/*
 * vmm/memory_backend.h: the properties of a memory backend: an object with an id, whose properties
 * are fixed when it is made. One table has them all, by our names for the command line and by
 * QEMU's for object-add. Knows neither JSON nor KVM, and makes no memory.
 */
#pragma once

#include <stddef.h>

#include "vmm/memory_backing.h"

/* The id of the guest's main memory, which is at address 0. */
#define MEMORY_MAIN "pc.ram"

#define MEMORY_BACKENDS_MAX 64
#define MEMORY_MAPPED_MAX   15 /* of these mapped into a guest, beside its main memory */

#define MEMORY_BACKEND_SYNTAX                                                                      \
    "id=ID,size=SIZE[,kind=KIND][,path=PATH][,page-size=2M|1G][,share=on|off][,migratable=on|off]" \
    "[,numa=NODES][,addr=ADDRESS]"

struct memory_backend_config {
    char id[RAM_BLOCK_NAME]; /* also the name of its RAM block */
    uint64_t bytes;
    enum memory_kind kind;
    enum memory_sharing sharing;
    uint64_t page_bytes; /* MEMORY_HUGETLB */
    char path[4096];     /* MEMORY_FILE */
    char numa[256];      /* empty: any node */
    bool mapped;         /* into the guest, … */
    uint64_t address;    /* … at this guest-physical address */
    bool migratable;     /* never without `mapped`: rule B1 */
    bool huge, bind;     /* as QEMU says it: hugetlb=on, policy=bind */
    unsigned long said;  /* a bit for each row of the table that was set explicitly */
};

/* Whose names and defaults are used: ours or QEMU's. */
enum memory_words { MEMORY_OURS, MEMORY_QEMU, MEMORY_WORDS };

enum memory_property_type { MEMORY_TEXT, MEMORY_SIZE, MEMORY_SWITCH, MEMORY_NODES };

struct memory_property {
    const char *names[MEMORY_WORDS]; /* NULL: there is no such property */
    enum memory_property_type type;
    int (*set)(struct memory_backend_config *c, const char *value, struct error *err);
};
extern const struct memory_property memory_properties[];
extern const size_t n_memory_properties;

/* Sets one property, given as text: "on" or "off", "0,2-3", "16M". `c` must be zeroed before the
 * first. */
MUST_USE int memory_backend_say(struct memory_backend_config *c, enum memory_words words,
                                const char *name, const char *value, struct error *err);
/* After the last property: fills in defaults, and refuses properties that clash. */
MUST_USE int memory_backend_finish(struct memory_backend_config *c, enum memory_words words,
                                   struct error *err);
/* Does both from a line of MEMORY_BACKEND_SYNTAX; a comma within a value is doubled. ERR_USAGE. */
MUST_USE int memory_backend_parse(const char *text, struct memory_backend_config *ret,
                                  struct error *err);

/* How its memory is made; points into `c`. */
struct memory_backing_config memory_backend_backing(const struct memory_backend_config *c);
/* QEMU's name for an object of that kind. */
const char *memory_backend_qom_type(const struct memory_backend_config *c);
