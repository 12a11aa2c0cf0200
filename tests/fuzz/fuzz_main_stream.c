/* The whole main stream of a migration without channels, loaded into memory. */
#include "base/macros.h"
#include "migration/main_stream.h"
#include "ram/ram_load.h"
#include "stream/description.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/bytes_channel.h"

#define MEMORY_MAX (UINT64_C(64) << 20)

struct trial {
    struct main_stream stream;
    struct ram_load load;
};

static int on_configured(struct main_stream *ms, struct error *err)
{
    struct trial *t = CONTAINER_OF(ms, struct trial, stream);

    (void)err;
    t->load.addresses = ms->config.capabilities & STREAM_CAP_X_IGNORE_SHARED;
    return 0;
}

/* As a destination does it, but with a limit, so that made-up lengths cannot take all our
 * memory. */
static int on_listed(struct ram_load *load, struct error *err)
{
    if (load->map->total_bytes > MEMORY_MAX)
        return err_set(err, ERR_SYSTEM, "too much for a test");
    return ram_map_anonymous(load->map, err);
}

static int on_barrier(struct ram_load *load, bool word, struct error *err)
{
    (void)load;
    (void)word;
    (void)err;
    return 0;
}

static const struct main_stream_ops stream_ops = {.configured = on_configured};
static const struct ram_load_ops ram_ops = {.listed = on_listed, .barrier = on_barrier};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ram_map map = {0};
    struct stream_in in;
    struct error err;

    bytes_stream_in(&in, data, len);
    struct trial t = {.stream = {.ops = &stream_ops, .in = &in}};
    const struct device_state *devices = &t.stream.devices;
    ram_load_init(&t.load, &ram_ops, &map);
    section_loaders_add(&t.stream.loaders, &t.load.base);
    if (main_stream_read(&t.stream, &err) == 0) {
        PROMISE(t.load.base.state == SECTION_ENDED && map.n > 0 && in.offset <= len);
        PROMISE(description_check(&devices->early, &devices->tail, NULL, NULL, &err) == 0);
    }
    main_stream_done(&t.stream);
    ram_load_done(&t.load);
    ram_map_done(&map);
    bytes_stream_in_done(&in);
    return 0;
}
