#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/json_memory.h"
#include "base/json_read.h"
#include "base/units.h"
#include "ram/resident.h"
#include "stream/description.h"
#include "tools/open_machine.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/result.h"
#include "tools/verbs.h"

#define NAME_ROOM 256 /* a str8 and its terminator */

/* Pages of a block that may hold anything but zeros. */
static int count_present(const struct ram_block *b, uint64_t *ret, struct error *err)
{
    struct dirty_bitmap present;

    if (dirty_bitmap_init(&present, ram_block_pages(b), err) < 0)
        return -1;
    int rc = ram_resident(b, &present, err);
    *ret = dirty_bitmap_count(&present);
    dirty_bitmap_done(&present);
    return rc;
}

static int blocks_json(const struct machine *m, json_t *list, struct error *err)
{
    for (size_t i = 0; i < m->ram.n; i++) {
        const struct ram_block *b = &m->ram.blocks[i];
        uint64_t present = 0;

        if (ram_block_is_here(b) && count_present(b, &present, err) < 0)
            return -1;
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:I, s:I, s:b}", "name", b->name, "length",
                                        (json_int_t)b->used_bytes, "pages",
                                        (json_int_t)ram_block_pages(b), "pages-present",
                                        (json_int_t)present, "elsewhere", !ram_block_is_here(b)));
    }
    return 0;
}

static void add_device(void *arg, const struct section *s, const uint8_t *body, uint64_t body_len)
{
    (void)body;
    json_array_append_new(arg, json_pack("{s:s, s:I, s:I, s:I}", "name", s->name, "instance",
                                         (json_int_t)s->instance, "version", (json_int_t)s->version,
                                         "length", (json_int_t)body_len));
}

static void print_block(const json_t *b)
{
    char name[NAME_ROOM], size[UNIT_TEXT_LEN], pages[COUNT_TEXT_LEN];

    json_word(b, "name", "", name, sizeof(name));
    printf("  %-36s %8s, ", name, memory_text(json_count(b, "length"), size));
    if (json_is_true(json_object_get(b, "elsewhere")))
        printf("shared, elsewhere\n");
    else
        printf("%" PRIu64 " of %s present\n", json_count(b, "pages-present"),
               count_text(json_count(b, "pages"), "page", pages));
}

static int print_text(const struct machine *m, const char *uuid, const json_t *blocks,
                      const json_t *devices, struct error *err)
{
    char name[NAME_ROOM], size[UNIT_TEXT_LEN], count[COUNT_TEXT_LEN];
    size_t i;
    json_t *e;

    if (json_memory_check(err) < 0)
        return -1;
    printf("machine  %s\n", m->config.machine);
    if (uuid)
        printf("uuid     %s\n", uuid);
    printf("ram      %s in %s\n", memory_text(m->ram.total_bytes, size),
           count_text(m->ram.n, "block", count));
    json_array_foreach(blocks, i, e)
    {
        print_block(e);
    }
    printf("devices  %s\n", count_text(json_array_size(devices), "section", count));
    json_array_foreach(devices, i, e)
    {
        json_word(e, "name", "", name, sizeof(name));
        printf("  %-36s instance %" PRIu64 ", version %" PRIu64 ", %s\n", name,
               json_count(e, "instance"), json_count(e, "version"),
               size_text(json_count(e, "length"), size));
    }
    return output_flush(err);
}

static int print_json(const struct machine *m, const char *uuid, json_t *blocks, json_t *devices,
                      struct error *err)
{
    json_t *root = json_pack("{s:s, s:I, s:O, s:O}", "machine", m->config.machine, "total",
                             (json_int_t)m->ram.total_bytes, "blocks", blocks, "devices", devices);

    if (uuid)
        json_object_set_new(root, "uuid", json_string(uuid));
    return result_print(root, NULL, err);
}

static int print_snapshot(const struct machine *m, const struct options *options, struct error *err)
{
    json_t *blocks = json_array(), *devices = json_array();
    char text[UUID_TEXT_LEN], *uuid = NULL;

    if (m->config.has_uuid) {
        uuid_format(&m->config.uuid, text);
        uuid = text;
    }
    int rc = blocks_json(m, blocks, err);
    if (rc == 0)
        rc = description_check(&m->devices.early, &m->devices.tail, add_device, devices, err);
    if (rc == 0 && options->json)
        rc = print_json(m, uuid, blocks, devices, err);
    else if (rc == 0)
        rc = print_text(m, uuid, blocks, devices, err);
    json_decref(blocks);
    json_decref(devices);
    return rc;
}

int verb_info(int argc, char **argv, struct error *err)
{
    struct options options;
    struct machine *machine;
    const char *args[1];
    size_t n;

    if (options_parse(VERB_INFO, argc, argv, &options, args, ARRAY_LEN(args), &n, err) < 0)
        return -1;
    if (n != 1)
        return err_set(err, ERR_USAGE, "expected a snapshot; see ramjet help info");
    if (open_machine_snapshot(args[0], &machine, err) < 0)
        return -1;
    int rc = print_snapshot(machine, &options, err);
    machine_free(machine);
    return rc;
}
