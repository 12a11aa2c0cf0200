#include "vmm/snapshot_stream.h"

#include <endian.h>
#include <string.h>
#include <unistd.h>

#include "ram/ram_format.h"
#include "stream/section.h"
#include "stream/stream_out.h"
#include "transport/file_channel.h"

#define SECTION_ID 1

/* More than header, configuration with all its subsections, and a section's header can take. */
#define HEAD_MAX 1024

static uint64_t bitmap_bytes(const struct ram_block *b)
{
    return (ram_block_pages(b) + 63) / 64 * 8;
}

void snapshot_layout(const struct configuration *config, const struct ram_map *ram,
                     const struct device_state *devices, struct mapped_ram *ret)
{
    uint64_t at = HEAD_MAX + strlen(config->machine) + devices->early.len;

    for (size_t i = 0; i < ram->n; i++) {
        const struct ram_block *b = &ram->blocks[i];

        ret[i].bitmap_offset = ALIGN_UP(at + RAM_BLOCK_NAME + MAPPED_RAM_HEADER_LEN, 64);
        ret[i].pages_offset = ALIGN_UP(ret[i].bitmap_offset + bitmap_bytes(b), MAPPED_RAM_ALIGN);
        at = ret[i].pages_offset + b->used_bytes;
    }
}

static void bitmap_out(struct stream_out *out, const struct ram_block *b)
{
    for (uint64_t w = 0; w < bitmap_bytes(b) / 8; w++) {
        uint64_t word =
            htole64(b->present ? atomic_load_explicit(&b->present[w], memory_order_relaxed) : 0);

        out_bytes(out, &word, sizeof(word));
    }
}

static void mapped_block_out(struct stream_out *out, const struct ram_block *b,
                             const struct mapped_ram *m)
{
    out_u32(out, MAPPED_RAM_VERSION);
    out_u64(out, RAM_PAGE_SIZE);
    out_u64(out, m->bitmap_offset);
    out_u64(out, m->pages_offset);
    stream_out_seek(out, m->bitmap_offset);
    bitmap_out(out, b);
    stream_out_seek(out, m->pages_offset + b->used_bytes);
}

static void ram_start_out(struct stream_out *out, const struct ram_map *ram,
                          const struct mapped_ram *mapped)
{
    struct section s = {
        .type = STREAM_SECTION_START,
        .id = SECTION_ID,
        .name = RAM_SECTION_NAME,
        .version = RAM_SECTION_VERSION,
    };

    section_out_begin(out, &s);
    out_u64(out, ram->total_bytes | RAM_RECORD_MEM_SIZE);
    for (size_t i = 0; i < ram->n; i++) {
        out_name(out, ram->blocks[i].name);
        out_u64(out, ram->blocks[i].used_bytes);
        if (mapped)
            mapped_block_out(out, &ram->blocks[i], &mapped[i]);
    }
    out_u64(out, RAM_RECORD_EOS);
    section_out_end(out, &s);
}

static void ram_end_out(struct stream_out *out)
{
    struct section s = {.type = STREAM_SECTION_END, .id = SECTION_ID};

    section_out_begin(out, &s);
    out_u64(out, RAM_RECORD_EOS);
    section_out_end(out, &s);
}

int snapshot_stream_write(int fd, const struct configuration *config, const struct ram_map *ram,
                          const struct mapped_ram *mapped, const struct device_state *devices,
                          struct error *err)
{
    struct stream_out out;
    struct channel *c;
    int own = dup(fd);

    if (own < 0)
        return err_sys(err, "dup");
    if (file_channel_open(own, 0, &c, err) < 0)
        return -1;
    int rc = stream_out_init(&out, c, err);
    if (rc == 0) {
        configuration_out(&out, config);
        out_bytes(&out, devices->early.data, devices->early.len);
        ram_start_out(&out, ram, mapped);
        ram_end_out(&out);
        out_bytes(&out, devices->tail.data, devices->tail.len);
        rc = stream_out_flush(&out, err);
    }
    stream_out_done(&out);
    channel_free(c);
    return rc;
}
