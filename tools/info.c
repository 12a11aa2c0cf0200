#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/json_memory.h"
#include "base/json_read.h"
#include "base/units.h"
#include "ram/resident.h"
#include "stream/description.h"
#include "tools/info_libvirt.h"
#include "tools/open_machine.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/phase.h"
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

/* In a file, pages with places of their own are read when they are needed. */
static const char *format_of(const struct snapshot_spec *name, const struct machine *m)
{
    if (name->raw)
        return "raw";
    for (size_t i = 0; i < m->ram.n; i++) {
        if (m->ram.blocks[i].store)
            return "plain stream";
    }
    return "mapped-ram";
}

static int print_text(const struct snapshot_spec *file, const struct machine *m, const char *uuid,
                      const json_t *blocks, const json_t *devices, struct error *err)
{
    char name[NAME_ROOM], size[UNIT_TEXT_LEN], count[COUNT_TEXT_LEN];
    size_t i;
    json_t *e;

    if (json_memory_check(err) < 0)
        return -1;
    if (file->is_libvirt)
        info_libvirt_print(&file->libvirt);
    printf("format   %s\n", format_of(file, m));
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

static int print_json(const struct snapshot_spec *name, bool xml, const struct machine *m,
                      const char *uuid, json_t *blocks, json_t *devices, struct error *err)
{
    json_t *root = json_pack("{s:s, s:s, s:I, s:O, s:O}", "format", format_of(name, m), "machine",
                             m->config.machine, "total", (json_int_t)m->ram.total_bytes, "blocks",
                             blocks, "devices", devices);

    if (uuid)
        json_object_set_new(root, "uuid", json_string(uuid));
    if (name->is_libvirt)
        json_object_set_new(root, "libvirt", info_libvirt_json(&name->libvirt, xml));
    return result_print(root, NULL, err);
}

static int print_snapshot(const struct snapshot_spec *name, const struct machine *m,
                          const struct options *options, struct error *err)
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
        rc = print_json(name, options->xml, m, uuid, blocks, devices, err);
    else if (rc == 0)
        rc = print_text(name, m, uuid, blocks, devices, err);
    json_decref(blocks);
    json_decref(devices);
    return rc;
}

/* What can be said where the stream is packed by another program. */
static int print_packed(const struct libvirt_save *s, const char *path,
                        const struct options *options, struct error *err)
{
    struct error how;

    (void)!libvirt_save_check_stream(s, path, &how);
    if (options->json) {
        json_t *root = json_pack("{s:s, s:o, s:s}", "format", "packed", "libvirt",
                                 info_libvirt_json(s, options->xml), "hint", how.text);

        return result_print(root, NULL, err);
    }
    info_libvirt_print(s);
    printf("hint     %s\n", how.text);
    return output_flush(err);
}

static int print_file(const struct snapshot_spec *name, const struct options *options,
                      struct error *err)
{
    struct machine *machine;

    if (options->xml && !name->is_libvirt)
        return err_set(err, ERR_USAGE, "--xml: only a libvirt save file has a domain's XML");
    if (options->xml && !options->json)
        return info_libvirt_xml(&name->libvirt, err);
    if (name->is_libvirt && libvirt_save_is_packed(&name->libvirt))
        return print_packed(&name->libvirt, name->file.file, options, err);
    phase_start("info", PROGRESS_AUTO);
    phase_set(PHASE_UNLIMITED, "reading %.200s", name->raw ? name->raw : name->file.file);
    int opened = open_machine_snapshot(name, PAGES_COUNTED, &machine, err);
    phase_stop();
    if (opened < 0)
        return -1;
    int rc = print_snapshot(name, machine, options, err);
    machine_free(machine);
    return rc;
}

int verb_info(int argc, char **argv, struct error *err)
{
    struct options options;
    struct snapshot_spec name;
    const char *args[1];
    size_t n;

    if (options_parse(VERB_INFO, argc, argv, &options, args, ARRAY_LEN(args), &n, err) < 0)
        return -1;
    if (n != 1)
        return err_set(err, ERR_USAGE, "expected a snapshot; see ramjet help info");
    if (snapshot_spec_read(args[0], &name, err) < 0)
        return -1;
    int rc = print_file(&name, &options, err);
    snapshot_spec_done(&name);
    return rc;
}
