#include "tests/support/dirty_guest.h"

#include "tests/support/memory.h"
#include "tests/support/test.h"
#include "vmm/guest_memory.h"

/*
 * Starts with rdi at three words: the address of the pages, how many there are, and a seed. Writes
 * the first word of a random page 4096 times, reports that, and starts over.
 */
__asm__(".pushsection .rodata\n"
        "dirty_guest_code:\n"
        "    movq (%rdi), %r8\n"
        "    movq 8(%rdi), %r9\n"
        "    movq 16(%rdi), %rax\n"
        "    movabsq $6364136223846793005, %r10\n"
        "1:  movl $4096, %ecx\n"
        "2:  imulq %r10, %rax\n"
        "    incq %rax\n"
        "    movq %rax, %rdx\n"
        "    shrq $32, %rdx\n"
        "    imulq %r9, %rdx\n"
        "    shrq $32, %rdx\n"
        "    shlq $12, %rdx\n"
        "    movq %rax, (%r8,%rdx)\n"
        "    decl %ecx\n"
        "    jnz 2b\n"
        "    movl $0x510, %edx\n"
        "    outl %eax, %dx\n"
        "    jmp 1b\n"
        "dirty_guest_code_end:\n"
        ".popsection\n");
extern const uint8_t dirty_guest_code[], dirty_guest_code_end[];

static int on_out(void *arg, unsigned vcpu, uint16_t port,
                  const uint64_t words[static GUEST_MESSAGE_WORDS], struct error *err)
{
    struct dirty_guest *g = arg;

    (void)port;
    (void)words;
    (void)err;
    pthread_mutex_lock(&g->lock);
    g->messages[vcpu]++;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    return 0;
}

static void on_failed(void *arg, unsigned vcpu, const struct error *err)
{
    struct dirty_guest *g = arg;

    (void)vcpu;
    pthread_mutex_lock(&g->lock);
    g->failed = true;
    g->err = *err;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static int on_ring_full(void *arg, unsigned vcpu, struct error *err)
{
    struct dirty_guest *g = arg;

    pthread_mutex_lock(&g->lock);
    g->full_exits++;
    pthread_mutex_unlock(&g->lock);
    return dirty_ring_full(g->ring, vcpu, err);
}

static void on_enter(void *arg, unsigned vcpu)
{
    struct dirty_guest *g = arg;

    if (g->ring)
        dirty_ring_hold(g->ring, vcpu);
}

static void sleep_vcpu(void *arg, unsigned vcpu, uint64_t ns)
{
    vcpu_sleep(((struct dirty_guest *)arg)->vcpus[vcpu], ns);
}

static void nudge_vcpu(void *arg, unsigned vcpu)
{
    vcpu_nudge(((struct dirty_guest *)arg)->vcpus[vcpu]);
}

static void add_slot(struct dirty_guest *g, uint64_t offset, uint64_t end)
{
    struct kvm_slot *slot = &g->slots[g->n_slots];
    struct error err;

    *slot = (struct kvm_slot){
        .id = (unsigned)g->n_slots++,
        .guest_address = guest_memory_physical(offset),
        .bytes = end - offset,
        .host = g->map.blocks[0].host + offset,
        .block_page = offset >> RAM_PAGE_BITS,
    };
    OK(kvm_set_slot(&g->kvm, slot, 0, &err), err, "slot");
}

static void make_memory(const struct dirty_guest_config *config, struct dirty_guest *g)
{
    const struct guest_image image = {"writer", dirty_guest_code, dirty_guest_code_end};
    uint64_t low = MIN(config->bytes, (uint64_t)GUEST_LOW_MAX);
    struct error err;

    struct ram_block *b = memory_add(&g->map, "pc.ram", config->bytes / RAM_PAGE_SIZE, false);
    guest_memory_lay_out(b);
    OK(guest_memory_load(b, &image, &err), err, "payload");
    add_slot(g, 0, low);
    if (low < config->bytes)
        add_slot(g, low, config->bytes);
    for (unsigned i = 0; i < config->cpus; i++) {
        uint64_t *words = (uint64_t *)(b->host + GUEST_PARAMS + (size_t)i * RAM_PAGE_SIZE);

        words[0] = config->first_page * RAM_PAGE_SIZE;
        words[1] = config->n_pages;
        words[2] = i + 1;
    }
}

static void make_vcpus(const struct dirty_guest_config *config, struct dirty_guest *g)
{
    struct error err;

    for (; g->n_vcpus < config->cpus; g->n_vcpus++) {
        const struct vcpu_start start = {
            .page_tables = GUEST_PAGE_TABLES,
            .entry = GUEST_IMAGE,
            .stack_top = GUEST_STACKS + (uint64_t)(g->n_vcpus + 1) * GUEST_STACK_BYTES,
            .argument = GUEST_PARAMS + (uint64_t)g->n_vcpus * RAM_PAGE_SIZE,
        };

        OK(vcpu_new(&g->kvm, g->n_vcpus, &start, &g->client, &g->vcpus[g->n_vcpus], &err), err,
           "vCPU");
    }
}

static void make_ring(struct dirty_guest *g)
{
    int fds[DIRTY_GUEST_CPUS];
    struct error err;

    for (unsigned i = 0; i < g->n_vcpus; i++)
        fds[i] = vcpu_fd(g->vcpus[i]);
    const struct dirty_ring_config config = {
        .kvm = &g->kvm,
        .slots = g->slots,
        .n_slots = g->n_slots,
        .map = &g->map,
        .vcpus = fds,
        .n_vcpus = g->n_vcpus,
        .entries = g->ring_entries,
        .sleep = sleep_vcpu,
        .nudge = nudge_vcpu,
        .arg = g,
    };
    OK(dirty_ring_new(&config, &g->ring, &err), err, "ring");
}

void dirty_guest_start(const struct dirty_guest_config *config, struct dirty_guest *g)
{
    struct error err;

    *g = (struct dirty_guest){.ring_entries = config->ring_entries};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    g->client = (struct vcpu_client){
        .out = on_out,
        .failed = on_failed,
        .enter = on_enter,
        .ring_full = on_ring_full,
        .arg = g,
    };
    OK(kvm_init(&g->kvm, &err), err, "VM");
    if (config->ring_entries)
        OK(dirty_ring_enable(&g->kvm, config->ring_entries, &err), err, "ring");
    make_memory(config, g);
    make_vcpus(config, g);
    if (config->ring_entries)
        make_ring(g);
}

void dirty_guest_end(struct dirty_guest *g)
{
    if (g->ring)
        g->ring->ops->stop(g->ring);
    for (unsigned i = 0; i < g->n_vcpus; i++)
        vcpu_free(g->vcpus[i]);
    dirty_ring_free(g->ring);
    kvm_done(&g->kvm);
    ram_map_done(&g->map);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
}

void dirty_guest_run(struct dirty_guest *g)
{
    for (unsigned i = 0; i < g->n_vcpus; i++)
        vcpu_resume(g->vcpus[i]);
}

void dirty_guest_settle(void *arg)
{
    struct dirty_guest *g = arg;

    for (unsigned i = 0; i < g->n_vcpus; i++)
        vcpu_kick(g->vcpus[i]);
    for (unsigned i = 0; i < g->n_vcpus; i++)
        vcpu_wait(g->vcpus[i]);
}

void dirty_guest_progress(void *arg)
{
    struct dirty_guest *g = arg;

    pthread_mutex_lock(&g->lock);
    for (unsigned i = 0; i < g->n_vcpus; i++) {
        uint64_t now = g->messages[i];

        while (g->messages[i] == now && !g->failed)
            pthread_cond_wait(&g->changed, &g->lock);
    }
    bool failed = g->failed;
    pthread_mutex_unlock(&g->lock);
    CHECK(!failed, "%s", g->err.text);
}
