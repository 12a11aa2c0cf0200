#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/test.h"
#include "vmm/machine_kvm.h"

/* The guests with more state than memory: they run, and they notice what they should. */

#define MEMORY     (UINT64_C(16) << 20)
#define PAGE_WORDS (RAM_PAGE_SIZE / sizeof(uint64_t))

static struct ram_block *memory_of(struct machine *m)
{
    return &m->ram.blocks[0];
}

static void pause_guest(struct machine *m)
{
    struct error err;

    OK(machine_stop(m, MACHINE_PAUSED, &err), err, "stop");
}

static struct machine *start(const char *guest, unsigned cpus)
{
    struct machine_guest_config config = {.guest = guest, .bytes = MEMORY, .cpus = cpus};
    struct machine *m;
    struct error err;

    OK(machine_kvm_new(&config, &m, &err), err, guest);
    machine_resume(m, MACHINE_PAUSED);
    return m;
}

static void demand(struct machine *m, bool said)
{
    struct error err;

    if (said)
        return;
    OK(guest_report_failure(machine_guest_report(m), &err), err, "the guest");
    fail_msg("a wait has ended");
}

static void await(struct machine *m, uint64_t heartbeats, uint64_t errors)
{
    demand(m, guest_report_wait(machine_guest_report(m), heartbeats, errors, DEADLINE_NEVER));
}

static void await_swept(struct machine *m, uint64_t sweeps)
{
    demand(m, guest_report_wait_swept(machine_guest_report(m), sweeps, DEADLINE_NEVER));
}

static struct guest_verdict verdict_of(struct machine *m)
{
    struct guest_verdict verdict;

    guest_report_verdict(machine_guest_report(m), &verdict);
    return verdict;
}

/* Fails with the first wrong page if there is one. */
static void demand_clean(struct machine *m, const char *label)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    char text[GUEST_WRONG_TEXT] = "nothing";

    if (guest_report_wrong(machine_guest_report(m), wrong))
        guest_report_describe(&wrong[0], text, sizeof(text));
    CHECK(verdict_of(m).errors == 0, "%s: %s", label, text);
}

/* --- they run -------------------------------------------------------------------------------- */

static const char *const guests[] = {
    "idle",
    "idle,timer=off",
    "dirtier",
    "dirtier,rate=0,pattern=sequential",
    "dirtier,rate=0,pattern=hot,fill=lines,write=word",
    "dirtier,pattern=random,write=sse,seed=7",
    "dirtier,working-set=1M,write=avx,fill=lines,timer=1",
};

/* In scripts/lab a third of them, alternately with one vCPU and two, and fewer beats. */
static void run_clean_over_pauses(void **state)
{
    const unsigned step = is_in_lab() ? 3 : 1, often = is_in_lab() ? 5 : 20;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(guests) * 2; i += step) {
        const char *guest = guests[i / 2];
        unsigned cpus = 1 + i % 2;
        struct machine *m = start(guest, cpus);

        for (unsigned pauses = 1; pauses <= often; pauses++) {
            await(m, UINT64_C(5) * pauses, 0);
            pause_guest(m);
            machine_resume(m, MACHINE_PAUSED);
        }
        if (strncmp(guest, "dirtier", 7) == 0)
            await_swept(m, 2);
        pause_guest(m);
        demand_clean(m, guest);
        CHECK((verdict_of(m).pages_written > 0) == (guest[0] == 'd'), "%s: %" PRIu64 " written",
              guest, verdict_of(m).pages_written);
        CHECK(verdict_of(m).facts[GUEST_FACT_VECTOR] >= 16, "%s: no vector registers", guest);
        machine_free(m);
    }
}

/* By the guest's own count and clock: at most a fifth above the rate, and at least a tenth of
 * it. */
static void keeps_its_rate(void **state)
{
    struct machine *m = start("dirtier,rate=40M", 2);
    struct guest_report_state before, after;
    double pages = 0, ticks = 0;

    (void)state;
    await(m, 10, 0);
    guest_report_get_state(machine_guest_report(m), &before);
    await(m, before.voices[0].heartbeats + 300, 0);
    guest_report_get_state(machine_guest_report(m), &after);
    for (unsigned i = 0; i < 2; i++) {
        pages += (double)(after.voices[i].written - before.voices[i].written);
        ticks += (double)(after.voices[i].tsc - before.voices[i].tsc) / 2;
    }
    double rate = pages / (ticks / (double)machine_guest_report(m)->tsc_khz / 1000);
    CHECK(rate < 10240 * 1.2, "%.0f pages/s, expected 10240", rate);
    /* A busy machine may be slower, and an emulated one cannot reach it. */
    CHECK(is_in_lab() || rate > 10240 * 0.1, "%.0f pages/s, expected 10240", rate);
    machine_free(m);
}

/* --- they notice: memory --------------------------------------------------------------------- */

static uint64_t *page_words(struct machine *m, uint64_t page)
{
    return (uint64_t *)(memory_of(m)->host + page * RAM_PAGE_SIZE);
}

/*
 * A page that was written and is not being written, of a paused guest: its sum is right. Searches
 * only from page `behind` on.
 */
static uint64_t whole_page(struct machine *m, uint64_t behind)
{
    uint64_t n = ram_block_pages(memory_of(m));

    for (uint64_t page = behind; page < n; page++) {
        const uint64_t *words = page_words(m, page);
        uint64_t sum = 0;

        for (size_t i = 4; i < PAGE_WORDS; i++)
            sum += words[i];
        if (words[0] == page && words[1] && words[2] == sum)
            return page;
    }
    fail_msg("no page is whole");
    return 0;
}

static void damage_first_word(struct machine *m, uint64_t page)
{
    page_words(m, page)[0] ^= 1;
}

static void damage_last_word(struct machine *m, uint64_t page)
{
    page_words(m, page)[PAGE_WORDS - 1] ^= UINT64_C(1) << 63;
}

static void damage_middle(struct machine *m, uint64_t page)
{
    page_words(m, page)[PAGE_WORDS / 2 + 1]++;
}

static void lose(struct machine *m, uint64_t page)
{
    memset(page_words(m, page), 0, RAM_PAGE_SIZE);
}

static void take_anothers(struct machine *m, uint64_t page)
{
    memcpy(page_words(m, page), page_words(m, whole_page(m, page + 1)), RAM_PAGE_SIZE);
}

static void tear(struct machine *m, uint64_t page)
{
    memcpy(page_words(m, page) + PAGE_WORDS / 2,
           page_words(m, whole_page(m, page + 1)) + PAGE_WORDS / 2, RAM_PAGE_SIZE / 2);
}

static const struct damage_case {
    const char *label;
    unsigned vcpu; /* which vCPU's page it is */
    void (*damage)(struct machine *m, uint64_t page);
} damage_cases[] = {
    {"a bit of the first word", 0, damage_first_word},
    {"a bit of the last word", 1, damage_last_word},
    {"a word in the middle", 0, damage_middle},
    {"a page of zeros", 1, lose},
    {"another's page", 0, take_anothers},
    {"half another's page", 1, tear},
};

static void find_a_damaged_page(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(damage_cases); i++) {
        const struct damage_case *c = &damage_cases[i];
        struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
        struct machine *m = start("dirtier", 2);

        await_swept(m, 1);
        pause_guest(m);
        uint64_t page = whole_page(m, machine_guest_report(m)->voices[c->vcpu].first_page);
        c->damage(m, page);
        machine_resume(m, MACHINE_PAUSED);
        await(m, 0, 1);
        await_swept(m, verdict_of(m).sweeps + 2); /* reported once, and right again */
        size_t n = guest_report_wrong(machine_guest_report(m), wrong);
        CHECK(n == 1 && !wrong[0].state && wrong[0].page == page && wrong[0].vcpu == c->vcpu,
              "%s: %zu errors, page %" PRIu64 " of vCPU %u, expected %" PRIu64, c->label, n,
              wrong[0].page, wrong[0].vcpu, page);
        machine_free(m);
    }
}

/* A page is set back to an earlier state. */
static void finds_a_stale_page(void **state)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    struct machine *m = start("dirtier,rate=0,working-set=1M", 1);
    uint64_t old[PAGE_WORDS], page;

    (void)state;
    await_swept(m, 1);
    pause_guest(m);
    page = whole_page(m, machine_guest_report(m)->voices[0].first_page);
    memcpy(old, page_words(m, page), sizeof(old));
    do {
        machine_resume(m, MACHINE_PAUSED);
        await_swept(m, verdict_of(m).sweeps + 1);
        pause_guest(m);
    } while (page_words(m, page)[1] == old[1]);
    uint64_t now = page_words(m, page)[1];
    memcpy(page_words(m, page), old, sizeof(old));
    machine_resume(m, MACHINE_PAUSED);
    await(m, 0, 1);
    CHECK(guest_report_wrong(machine_guest_report(m), wrong) == 1 && wrong[0].page == page &&
              wrong[0].found == old[1] && wrong[0].expected >= now,
          "page %" PRIu64 ": generation %" PRIu64 ", expected %" PRIu64, wrong[0].page,
          wrong[0].found, wrong[0].expected);
    machine_free(m);
}

/* All pages and their ledger are set back: they match each other, but not the guest's progress. */
static void finds_that_all_is_stale(void **state)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    struct machine *m = start("dirtier,working-set=1M,pattern=sequential", 1);
    struct ram_block *b = memory_of(m);
    uint8_t *old = malloc(b->used_bytes - GUEST_WORK);
    uint64_t written;

    (void)state;
    assert_non_null(old);
    await_swept(m, 1);
    pause_guest(m);
    memcpy(old, b->host + GUEST_WORK, b->used_bytes - GUEST_WORK);
    written = verdict_of(m).pages_written;
    do {
        machine_resume(m, MACHINE_PAUSED);
        await_swept(m, verdict_of(m).sweeps + 1);
        pause_guest(m);
    } while (verdict_of(m).pages_written < written + 10);
    memcpy(b->host + GUEST_WORK, old, b->used_bytes - GUEST_WORK);
    free(old);
    machine_resume(m, MACHINE_PAUSED);
    await(m, 0, 1);
    guest_report_wrong(machine_guest_report(m), wrong);
    /* The one page that was being written at the pause may be torn, and be reported first. */
    for (uint64_t errors = 1; wrong[errors - 1].state != GUEST_STATE_LEDGER; errors++) {
        CHECK(errors < 3, "wrong pages, but not the ledger");
        await(m, 0, errors + 1);
        guest_report_wrong(machine_guest_report(m), wrong);
    }
    machine_free(m);
}

/* --- they notice: state ---------------------------------------------------------------------- */

/* The only vCPU's descriptor, found by its name in the kernel: the machine does not expose it. */
static int vcpu_descriptor(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int fd = -1;

    assert_non_null(dir);
    for (struct dirent *e; fd < 0 && (e = readdir(dir));) {
        char target[64] = "";

        if (readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1) > 0 &&
            strncmp(target, "anon_inode:kvm-vcpu", 19) == 0)
            fd = atoi(e->d_name);
    }
    closedir(dir);
    CHECK(fd >= 0, "no vCPU in /proc/self/fd");
    return fd;
}

static void command(int fd, unsigned long request, void *arg)
{
    CHECK(ioctl(fd, request, arg) == 0, "ioctl 0x%lx: %s", request, strerror(errno));
}

static bool change_vector(int fd)
{
    struct kvm_fpu fpu;

    command(fd, KVM_GET_FPU, &fpu);
    fpu.xmm[9][0] ^= 1;
    command(fd, KVM_SET_FPU, &fpu);
    return true;
}

/* The part of XSAVE's area that holds the upper halves of the YMM registers: Intel SDM,
 * volume 1, 13.5.3. */
static bool change_upper_half(int fd)
{
    struct kvm_xsave xsave;

    command(fd, KVM_GET_XSAVE, &xsave);
    xsave.region[(576 + 16 * 15) / 4] ^= 1;
    command(fd, KVM_SET_XSAVE, &xsave);
    return true;
}

/* KVM_SET_FPU does not set it. */
static bool change_mxcsr(int fd)
{
    struct kvm_xsave xsave;

    command(fd, KVM_GET_XSAVE, &xsave);
    xsave.region[24 / 4] = 0x1f80; /* the value after a reset */
    command(fd, KVM_SET_XSAVE, &xsave);
    return true;
}

/* Where the guest waits, these registers have consecutive values. */
static bool change_general(int fd)
{
    struct kvm_regs regs;

    command(fd, KVM_GET_REGS, &regs);
    if (regs.r9 != regs.r8 + 1 || regs.r15 != regs.r8 + 7)
        return false;
    regs.r12 ^= 1;
    command(fd, KVM_SET_REGS, &regs);
    return true;
}

static bool stop_timer(int fd)
{
    struct kvm_lapic_state lapic;

    command(fd, KVM_GET_LAPIC, &lapic);
    lapic.regs[0x320 + 2] |= 1; /* masked */
    command(fd, KVM_SET_LAPIC, &lapic);
    return true;
}

static const struct state_case {
    const char *label;
    bool (*change)(int fd); /* false: the vCPU is at another place, try again */
    unsigned state, index;
    uint64_t flipped; /* found and expected differ in these bits; 0: in any */
} state_cases[] = {
    {"an XMM register", change_vector, GUEST_STATE_VECTOR, 9, 1},
    {"a YMM register", change_upper_half, GUEST_STATE_VECTOR, 15, 1},
    {"MXCSR", change_mxcsr, GUEST_STATE_MXCSR, 0, 0x6000},
    {"a general register", change_general, GUEST_STATE_GENERAL, 12, 1},
    {"a stopped timer", stop_timer, GUEST_STATE_TIMER, 0, 0},
};

static void notice_lost_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(state_cases) * 2; i++) {
        const struct state_case *c = &state_cases[i / 2];
        struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
        /* At this rate it waits often, even where it gets little of a CPU: change_general(). */
        struct machine *m = start(i % 2 ? "dirtier,rate=1M" : "idle", 1);

        await(m, 5, 0);
        if (c->change == change_upper_half && verdict_of(m).facts[GUEST_FACT_VECTOR] < 32) {
            machine_free(m);
            continue;
        }
        pause_guest(m);
        while (!c->change(vcpu_descriptor())) {
            machine_resume(m, MACHINE_PAUSED);
            await(m, verdict_of(m).heartbeats + 1, 0);
            pause_guest(m);
        }
        machine_resume(m, MACHINE_PAUSED);
        await(m, 0, 1);
        guest_report_wrong(machine_guest_report(m), wrong);
        CHECK(wrong[0].state == c->state && wrong[0].page == c->index,
              "%s: state %u, register %" PRIu64, c->label, wrong[0].state, wrong[0].page);
        CHECK(!c->flipped || (wrong[0].found ^ wrong[0].expected) == c->flipped,
              "%s: found %" PRIx64 ", expected %" PRIx64, c->label, wrong[0].found,
              wrong[0].expected);
        machine_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_clean_over_pauses),   cmocka_unit_test(keeps_its_rate),
        cmocka_unit_test(find_a_damaged_page),     cmocka_unit_test(finds_a_stale_page),
        cmocka_unit_test(finds_that_all_is_stale), cmocka_unit_test(notice_lost_state),
    };
    struct error err;

    if (machine_kvm_usable(&err) < 0)
        skip_all(err.text);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
