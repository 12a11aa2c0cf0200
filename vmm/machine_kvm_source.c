#include <assert.h>

#include "vmm/dirty_log.h"
#include "vmm/dirty_ring.h"
#include "vmm/dirty_uffd.h"
#include "vmm/machine_kvm_inside.h"

static void on_enter(void *arg, unsigned vcpu)
{
    struct machine_kvm *m = arg;

    dirty_ring_hold(m->guest.base.dirty, vcpu);
}

static int on_ring_full(void *arg, unsigned vcpu, struct error *err)
{
    struct machine_kvm *m = arg;

    return dirty_ring_full(m->guest.base.dirty, vcpu, err);
}

static void sleep_vcpu(void *arg, unsigned vcpu, uint64_t ns)
{
    struct machine_kvm *m = arg;

    vcpu_sleep(m->vcpus[vcpu], ns);
}

static void nudge_vcpu(void *arg, unsigned vcpu)
{
    struct machine_kvm *m = arg;

    vcpu_nudge(m->vcpus[vcpu]);
}

static void limit_dirty(struct machine *base, uint64_t bytes_per_s)
{
    dirty_ring_limit(base->dirty, bytes_per_s);
}

static unsigned ring_entries(const struct machine_guest_config *config)
{
    return config->dirty_ring ? config->dirty_ring : DIRTY_RING_DEFAULT;
}

static int prepare_ring(struct machine_kvm *m, const struct machine_guest_config *config,
                        struct error *err)
{
    m->client.enter = on_enter;
    m->client.ring_full = on_ring_full;
    m->guest.ops.limit_dirty = limit_dirty;
    return dirty_ring_enable(&m->kvm, ring_entries(config), err);
}

static int make_ring(struct machine_kvm *m, const struct machine_guest_config *config,
                     struct error *err)
{
    int fds[GUEST_CPUS_MAX];

    for (unsigned i = 0; i < m->n_vcpus; i++)
        fds[i] = vcpu_fd(m->vcpus[i]);
    const struct dirty_ring_config ring = {
        .kvm = &m->kvm,
        .slots = m->slots,
        .n_slots = m->n_slots,
        .map = &m->guest.base.ram,
        .vcpus = fds,
        .n_vcpus = m->n_vcpus,
        .entries = ring_entries(config),
        .sleep = sleep_vcpu,
        .nudge = nudge_vcpu,
        .arg = m,
    };
    return dirty_ring_new(&ring, &m->guest.base.dirty, err);
}

static int make_log(struct machine_kvm *m, const struct machine_guest_config *config,
                    struct error *err)
{
    (void)config;
    return dirty_log_new(&m->kvm, m->slots, m->n_slots, &m->guest.base.ram, &m->guest.base.dirty,
                         err);
}

static int make_uffd(struct machine_kvm *m, const struct machine_guest_config *config,
                     struct error *err)
{
    (void)config;
    return dirty_uffd_new(&m->guest.base.ram, &m->guest.base.dirty, err);
}

static const struct {
    /* Called before there is memory or a vCPU. NULL: nothing to do. */
    int (*prepare)(struct machine_kvm *m, const struct machine_guest_config *config,
                   struct error *err);
    int (*make)(struct machine_kvm *m, const struct machine_guest_config *config,
                struct error *err);
    void (*free)(struct dirty_source *s);
} dirty_sources[] = {
    [DIRTY_LOG] = {NULL, make_log, dirty_log_free},
    [DIRTY_RING] = {prepare_ring, make_ring, dirty_ring_free},
    [DIRTY_UFFD] = {NULL, make_uffd, dirty_uffd_free},
};
static_assert(ARRAY_LEN(dirty_sources) == DIRTY_KINDS, "a row for each kind");

int machine_kvm_prepare_source(struct machine_kvm *m, const struct machine_guest_config *config,
                               struct error *err)
{
    if (config->dirty_ring && config->dirty != DIRTY_RING)
        return err_set(err, ERR_USAGE, "a dirty ring's length, but the dirty source is '%s'",
                       dirty_kind_name(config->dirty));
    if (!dirty_sources[m->dirty].prepare)
        return 0;
    return dirty_sources[m->dirty].prepare(m, config, err);
}

int machine_kvm_make_source(struct machine_kvm *m, const struct machine_guest_config *config,
                            struct error *err)
{
    return dirty_sources[m->dirty].make(m, config, err);
}

void machine_kvm_free_source(struct machine_kvm *m)
{
    if (m->guest.base.dirty)
        dirty_sources[m->dirty].free(m->guest.base.dirty);
}
