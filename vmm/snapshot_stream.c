#include "vmm/snapshot_stream.h"

#include <string.h>

#include "ram/ram_format.h"
#include "stream/section.h"
#include "stream/stream_out.h"
#include "transport/file_channel.h"

#define SECTION_ID 1

/* More than header, configuration with all its subsections, and a section's header can take. */
#define HEAD_MAX 1024

void snapshot_layout(const struct configuration *config, const struct ram_map *ram,
                     const struct device_state *devices, struct mapped_ram *ret)
{
    uint64_t at = HEAD_MAX + strlen(config->machine) + devices->early.len;

    for (size_t i = 0; i < ram->n; i++) {
        const struct ram_block *b = &ram->blocks[i];

        ret[i].bitmap_offset = ALIGN_UP(at + RAM_BLOCK_NAME + MAPPED_RAM_HEADER_LEN, 64);
        ret[i].pages_offset =
            ALIGN_UP(ret[i].bitmap_offset + mapped_ram_bitmap_bytes(b), MAPPED_RAM_ALIGN);
        at = ret[i].pages_offset + b->used_bytes;
    }
}

static void ram_start_out(struct stream_out *out, const struct ram_map *ram, bool addresses,
                          const struct mapped_ram *mapped)
{
    struct section s = {
        .type = STREAM_SECTION_START,
        .id = SECTION_ID,
        .name = RAM_SECTION_NAME,
        .version = RAM_SECTION_VERSION,
    };

    section_out_begin(out, &s);
    ram_list_out(out, ram, addresses, mapped);
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

    if (file_channel_open(fd, 0, &c, err) < 0)
        return -1;
    int rc = stream_out_init(&out, c, err);
    if (rc == 0) {
        configuration_out(&out, config);
        out_bytes(&out, devices->early.data, devices->early.len);
        ram_start_out(&out, ram, config->capabilities & STREAM_CAP_X_IGNORE_SHARED, mapped);
        ram_end_out(&out);
        out_bytes(&out, devices->tail.data, devices->tail.len);
        rc = stream_out_flush(&out, err);
    }
    stream_out_done(&out);
    channel_free(c);
    return rc;
}
