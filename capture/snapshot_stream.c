#include "capture/snapshot_stream.h"

#include "ram/ram_format.h"
#include "stream/section.h"
#include "stream/stream_out.h"
#include "transport/file_channel.h"

#define SECTION_ID 1

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
