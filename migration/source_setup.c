#include "migration/source_setup.h"

#include "base/clock.h"
#include "migration/cpr_channel.h"

#define RAM_SECTION_ID 1

/* --- memory that is handed over -------------------------------------------------------------- */

/* Lists the descriptors of the blocks that are listed and do not travel. */
static int list_memory(const struct source *m, struct cpr_state *ret, struct error *err)
{
    ret->n = 0;
    for (size_t i = 0; i < m->ram.n; i++) {
        const struct ram_block *b = &m->ram.blocks[i];

        if (b->travel == RAM_IGNORED && b->memory_fd >= 0 &&
            cpr_state_add(ret, b->name, b->memory_fd, err) < 0)
            return -1;
    }
    return 0;
}

/* The destination listens at the main address when this returns. */
static int hand_over(struct source *m, struct error *err)
{
    const struct connect_config *connect = &m->config.connect;
    const struct transport_config config = {
        .connect_timeout_ms = connect->connect_timeout_ms,
        .stall_timeout_ms = connect->stall_timeout_ms,
        .cancel = &m->link->group.cancel,
    };
    struct cpr_state state;

    if (list_memory(m, &state, err) < 0)
        return -1;
    return cpr_channel_send(&m->config.cpr, &state, &config, err);
}

/* --- the stream's beginning ------------------------------------------------------------------ */

static void say_configuration(struct source *m)
{
    struct configuration config = m->machine->config;

    config.capabilities = m->plan.capabilities;
    configuration_out(&m->link->out, &config);
}

/* Lists what writes the sections that iterate, in the order of the stream. */
static void list_savers(struct source *m)
{
    m->save = (struct ram_save){
        .base = {.ops = &ram_saver_ops, .kind = &ram_section, .id = RAM_SECTION_ID},
        .map = &m->ram,
        .round = &m->round,
        .sink = m->link->sink,
        .flush = m->plan.flush,
        .addresses = m->plan.marks_blocks,
        .mapped = m->link->mapped,
        .written = m->link->written,
    };
    section_savers_add(&m->savers, &m->save.base);
}

int source_setup(struct source *m, struct error *err)
{
    if (ram_round_init(&m->round, &m->ram, m->plan.zeros_on_main, m->dirty, err) < 0 ||
        source_take_link(m, err) < 0)
        return -1;
    if (m->config.hand_over && hand_over(m, err) < 0)
        return err_in(err, "cpr channel");
    if (link_connect(m->link, err) < 0)
        return -1;
    list_savers(m);
    say_configuration(m);
    if (m->plan.verdict && link_open_return_path(m->link, err) < 0)
        return -1;
    out_bytes(&m->link->out, m->machine->devices.early.data, m->machine->devices.early.len);
    if (section_savers_out(&m->savers, STREAM_SECTION_START, &m->link->out, err) < 0)
        return -1;
    atomic_store(&m->stats.setup_done_ns, clock_ns());
    return 0;
}
