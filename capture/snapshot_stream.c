#include "capture/snapshot_stream.h"

#include "base/macros.h"
#include "ram/ram_format.h"
#include "stream/section_handler.h"
#include "transport/file_channel.h"

#define SECTION_ID 1

/* RAM's saver where the pages are elsewhere: the block list alone. */
struct list_save {
    struct section_saver base;
    const struct ram_map *map;
    bool addresses;
    const struct mapped_ram *mapped;
};

static int list_start(struct section_saver *s, struct stream_out *out, struct error *err)
{
    const struct list_save *ls = CONTAINER_OF(s, const struct list_save, base);

    (void)err;
    ram_list_out(out, ls->map, ls->addresses, ls->mapped);
    out_u64(out, RAM_RECORD_EOS);
    return 0;
}

static int list_end(struct section_saver *s, struct stream_out *out, struct error *err)
{
    (void)s;
    (void)err;
    out_u64(out, RAM_RECORD_EOS);
    return 0;
}

static const struct section_saver_ops list_ops = {.start = list_start, .end = list_end};

static int write_all(struct stream_out *out, const struct configuration *config,
                     const struct section_savers *savers, const struct device_state *devices,
                     struct error *err)
{
    configuration_out(out, config);
    out_bytes(out, devices->early.data, devices->early.len);
    if (section_savers_out(savers, STREAM_SECTION_START, out, err) < 0 ||
        section_savers_out(savers, STREAM_SECTION_END, out, err) < 0)
        return -1;
    out_bytes(out, devices->tail.data, devices->tail.len);
    return stream_out_flush(out, err);
}

int snapshot_stream_write(int fd, uint64_t at, const struct configuration *config,
                          const struct ram_map *ram, const struct mapped_ram *mapped,
                          const struct device_state *devices, uint64_t *ret_end, struct error *err)
{
    struct list_save list = {
        .base = {.ops = &list_ops, .kind = &ram_section, .id = SECTION_ID},
        .map = ram,
        .addresses = config->capabilities & STREAM_CAP_X_IGNORE_SHARED,
        .mapped = mapped,
    };
    const struct section_savers savers = {&list.base};
    struct stream_out out;
    struct channel *c;

    if (file_channel_open(fd, at, &c, err) < 0)
        return -1;
    int rc = stream_out_init(&out, c, err);
    if (rc == 0)
        rc = write_all(&out, config, &savers, devices, err);
    if (rc == 0)
        *ret_end = out.offset;
    stream_out_done(&out);
    channel_free(c);
    return rc;
}
