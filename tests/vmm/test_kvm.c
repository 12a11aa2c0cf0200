#include "vmm/machine_kvm.h"

#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "ram/digest.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

#define MEMORY     (UINT64_C(16) << 20)
#define PAGE_WORDS (RAM_PAGE_SIZE / sizeof(uint64_t))
#define TWO_WALKS  (2 * MEMORY / RAM_PAGE_SIZE) /* pages verified, once all were written twice */

static void pause_guest(struct machine *m)
{
    struct error err;

    OK(machine_stop(m, MACHINE_PAUSED, &err), err, "pause");
}

static struct machine *start(unsigned cpus)
{
    struct machine_guest_config config = {.guest = "counter", .bytes = MEMORY, .cpus = cpus};
    struct machine *m;
    struct error err;

    OK(machine_kvm_new(&config, &m, &err), err, "machine");
    machine_resume(m, MACHINE_PAUSED);
    return m;
}

/* However long that takes: only ctest's time limit ends it. */
static void await(struct machine *m, uint64_t heartbeats, uint64_t errors)
{
    struct guest_report *r = machine_guest_report(m);
    struct error err;

    if (!guest_report_wait(r, heartbeats, errors, DEADLINE_NEVER)) {
        OK(guest_report_failure(r, &err), err, "the guest");
        fail_msg("a wait has ended");
    }
}

/* Until each vCPU has verified so many pages: how many a heartbeat covers depends on the host. */
static void await_verified(struct machine *m, uint64_t pages)
{
    struct guest_report *r = machine_guest_report(m);
    struct guest_report_state said;

    for (unsigned i = 0; i < r->n_vcpus; i++) {
        guest_report_get_state(r, &said);
        while (said.voices[i].verified < pages) {
            await(m, said.voices[i].heartbeats + 1, 0);
            guest_report_get_state(r, &said);
        }
    }
}

static struct guest_verdict verdict_of(struct machine *m)
{
    struct guest_verdict verdict;

    guest_report_verdict(machine_guest_report(m), &verdict);
    return verdict;
}

static uint64_t digest_of(struct machine *m)
{
    uint64_t digest;
    struct error err;

    OK(ram_digest(&m->ram.blocks[0], NULL, &digest, &err), err, "digest");
    return digest;
}

/* The words of a page, by the page's number. */
static uint64_t *page_words(struct machine *m, uint64_t page)
{
    return (uint64_t *)(m->ram.blocks[0].host + page * RAM_PAGE_SIZE);
}

static void counts(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 2; cpus++) {
        struct machine *m = start(cpus);

        await(m, 50, 0);
        struct guest_verdict v = verdict_of(m);
        CHECK(v.heartbeats >= 50 * cpus && v.errors == 0, "%u vCPUs: %" PRIu64 " errors", cpus,
              v.errors);
        CHECK(v.pages_verified > 0 && v.pages_written > 0, "%u vCPUs: no pages", cpus);
        /* A heartbeat is a millisecond: 50 of them are not closer together than one apart. */
        CHECK(v.longest_gap_us >= 1000, "%u vCPUs: %" PRIu64 " us", cpus, v.longest_gap_us);
        machine_free(m);
    }
}

/* A paused guest changes nothing and reports nothing; then it continues where it was. */
static void pauses(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 2; cpus++) {
        struct machine *m = start(cpus);

        await(m, 2, 0);
        for (unsigned i = 0; i < 20; i++) {
            pause_guest(m);
            struct guest_verdict before = verdict_of(m);
            uint64_t memory = digest_of(m);
            CHECK(digest_of(m) == memory, "%u vCPUs, pause %u: memory has changed", cpus, i);
            struct guest_verdict after = verdict_of(m);
            CHECK(memcmp(&before, &after, sizeof(after)) == 0, "%u vCPUs: it still speaks", cpus);
            machine_resume(m, MACHINE_PAUSED);
            /* Wait for both vCPUs: one alone may be ahead by more. */
            await(m, before.heartbeats / cpus + 1, 0);
        }
        CHECK(verdict_of(m).errors == 0, "%u vCPUs: %" PRIu64 " errors", cpus,
              verdict_of(m).errors);
        machine_free(m);
    }
}

/* Orders in quick succession: none is lost, and the machine can be ended at any point. */
static void takes_any_orders(void **state)
{
    struct machine *m = start(2);

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        pause_guest(m);
        machine_resume(m, MACHINE_PAUSED);
    }
    machine_resume(m, MACHINE_PAUSED);
    await(m, 1, 0);
    pause_guest(m);
    pause_guest(m);
    CHECK(verdict_of(m).errors == 0, "%" PRIu64 " errors", verdict_of(m).errors);
    machine_free(m);

    struct machine_guest_config config = {.guest = "counter", .bytes = MEMORY, .cpus = 1};
    struct error err;
    OK(machine_kvm_new(&config, &m, &err), err, "machine");
    pause_guest(m);
    CHECK(verdict_of(m).heartbeats == 0, "it has never run");
    machine_free(m);
}

/*
 * A page of this vCPU about half a walk away from its position, so that neither this page nor the
 * next two are being written.
 */
static uint64_t quiet_page(struct machine *m, unsigned vcpu)
{
    const struct guest_voice *v = &machine_guest_report(m)->voices[vcpu];
    uint64_t walk = page_words(m, v->first_page)[0] & UINT32_MAX, at = 0;

    while (at < v->n_pages && (page_words(m, v->first_page + at)[0] & UINT32_MAX) == walk)
        at++;
    return v->first_page + MIN((at + v->n_pages / 2) % v->n_pages, v->n_pages - 3);
}

static const struct damage_case {
    const char *label;
    unsigned cpus, vcpu;
    size_t word;
    uint64_t flip;
} damage_cases[] = {
    {"a bit of the first word", 1, 0, 0, 1},
    {"a bit of the last word", 1, 0, PAGE_WORDS - 1, UINT64_C(1) << 43},
    {"the second vCPU's page", 2, 1, 0, UINT64_C(1) << 63},
};

static void finds_the_wrong_page(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(damage_cases); i++) {
        const struct damage_case *c = &damage_cases[i];
        struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
        struct machine *m = start(c->cpus);

        await_verified(m, TWO_WALKS);
        pause_guest(m);
        uint64_t page = quiet_page(m, c->vcpu), expected = page_words(m, page)[c->word];
        page_words(m, page)[c->word] ^= c->flip;
        machine_resume(m, MACHINE_PAUSED);
        await(m, 0, 1);
        /* It is reported once, then the guest continues to count. */
        await_verified(m, verdict_of(m).pages_verified + TWO_WALKS);
        size_t n = guest_report_wrong(machine_guest_report(m), wrong);
        CHECK(n == 1, "%s: %zu wrong pages", c->label, n);
        CHECK(wrong[0].vcpu == c->vcpu && wrong[0].page == page && wrong[0].expected == expected &&
                  wrong[0].found == (expected ^ c->flip),
              "%s: vCPU %u reports page %" PRIu64 ", found %" PRIx64 ", expected %" PRIx64
              "; it is page %" PRIu64 ", %" PRIx64,
              c->label, wrong[0].vcpu, wrong[0].page, wrong[0].found, wrong[0].expected, page,
              expected);
        machine_free(m);
    }
}

/* A page with another page's contents, and one that is a walk too old. */
static void finds_swapped_and_stale_pages(void **state)
{
    struct guest_wrong_page wrong[GUEST_WRONG_KEPT];
    struct machine *m = start(1);

    (void)state;
    await_verified(m, TWO_WALKS);
    pause_guest(m);
    uint64_t page = quiet_page(m, 0);
    memcpy(page_words(m, page), page_words(m, page + 1), RAM_PAGE_SIZE);
    page_words(m, page + 2)[0]--;
    page_words(m, page + 2)[PAGE_WORDS - 1]--;
    machine_resume(m, MACHINE_PAUSED);
    await(m, 0, 2);
    CHECK(guest_report_wrong(machine_guest_report(m), wrong) == 2, "more than two wrong pages");
    CHECK(wrong[0].page == page && wrong[1].page == page + 2, "other pages");
    CHECK(wrong[1].found == wrong[1].expected - 1, "not stale by one walk");
    machine_free(m);
}

/* A guest that fails ends with a reason; pause and the end of the machine still work. */
static void says_how_a_guest_dies(void **state)
{
    struct machine_guest_config config = {.guest = "counter", .bytes = MEMORY, .cpus = 1};
    static const struct death_case {
        const char *label;
        uint8_t code[16];
        const char *reason;
    } cases[] = {
        {"an undefined instruction", {0x0f, 0x0b}, "died of an exception"},
        {"a port that is nobody's", {0x66, 0xba, 0xe9, 0x00, 0xef}, "port 0xe9"},
        {"a byte", {0x66, 0xba, 0x10, 0x05, 0xee}, "a byte at port 0x510"},
        {"reading a port", {0x66, 0xba, 0x10, 0x05, 0xed}, "IN 1 times 4 bytes"},
        {"a page that is not its own", {0x31, 0xff, 0x66, 0xba, 0x11, 0x05, 0xef}, "page 0"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct machine *m;
        struct error err;

        OK(machine_kvm_new(&config, &m, &err), err, cases[i].label);
        memcpy(m->ram.blocks[0].host + GUEST_IMAGE, cases[i].code, sizeof(cases[i].code));
        machine_resume(m, MACHINE_PAUSED);
        CHECK(!guest_report_wait(machine_guest_report(m), 1, 0, DEADLINE_NEVER), "%s: a heartbeat",
              cases[i].label);
        check_refused(cases[i].label, guest_report_failure(machine_guest_report(m), &err), &err,
                      ERR_PEER, cases[i].reason);
        pause_guest(m);
        machine_resume(m, MACHINE_PAUSED);
        machine_free(m);
    }
}

/*
 * A guest for interrupts only: sets up a gate, starts its local APIC's timer, periodic, and sends a
 * heartbeat for each interrupt, with their number as pages verified.
 */
__asm__(".pushsection .rodata\n"
        "timer_guest:\n"
        "  movabs $0x1000000000, %rbx\n" /* GUEST_LAPIC */
        "  movl $0x9400, %r8d\n"         /* the gate of vector 0x40 */
        "  lea timer_guest_tick(%rip), %rax\n"
        "  mov %ax, (%r8)\n"
        "  movw $0x33, 2(%r8)\n"
        "  movw $0xef00, 4(%r8)\n"
        "  shr $16, %rax\n"
        "  mov %ax, 6(%r8)\n"
        "  movl $0x1ff, 0xf0(%rbx)\n"    /* on */
        "  movl $0xb, 0x3e0(%rbx)\n"     /* each tick counts */
        "  movl $0x20040, 0x320(%rbx)\n" /* periodic */
        "  movl $1000000, 0x380(%rbx)\n"
        "  xor %r12d, %r12d\n"
        "  xor %ecx, %ecx\n"
        "  xor %esi, %esi\n"
        "1: pause\n"
        "  cmp %r12, %rsi\n"
        "  je 1b\n"
        "  mov %r12, %rsi\n"
        "  rdtsc\n"
        "  shl $32, %rdx\n"
        "  lea (%rax, %rdx), %rdi\n"
        "  mov $0x510, %edx\n"
        "  out %eax, %dx\n"
        "  jmp 1b\n"
        "timer_guest_tick:\n"
        "  inc %r12\n"
        "  movl $0, 0xb0(%rbx)\n"
        "  iretq\n"
        "timer_guest_end:\n"
        ".popsection\n");
extern const uint8_t timer_guest[], timer_guest_end[];

/* A machine with this code as a flat payload, before its first instruction. */
static struct machine *machine_with(const uint8_t *code, const uint8_t *end, unsigned cpus,
                                    serial_sink *sink, void *arg)
{
    char path[PATH_MAX];
    struct machine_guest_config config = {.payload = temp_path(path, "payload"),
                                          .bytes = MEMORY,
                                          .cpus = cpus,
                                          .serial_sink = sink,
                                          .serial_arg = arg};
    struct machine *m;
    struct error err;

    file_write(path, code, (size_t)(end - code));
    OK(machine_kvm_new(&config, &m, &err), err, "machine");
    return m;
}

/* On the real CPU, at CPL3, and over pauses. */
static void takes_timer_interrupts(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 2; cpus++) {
        struct machine *m = machine_with(timer_guest, timer_guest_end, cpus, NULL, NULL);

        for (unsigned i = 1; i <= 5; i++) {
            machine_resume(m, MACHINE_PAUSED);
            await(m, UINT64_C(20) * i, 0);
            pause_guest(m);
        }
        machine_free(m);
    }
}

/* A guest that waits between two heartbeats for as long as is allowed. */
__asm__(".pushsection .rodata\n"
        "waiting_guest:\n"
        "  xor %esi, %esi\n"
        "  xor %ecx, %ecx\n"
        "1: rdtsc\n"
        "  shl $32, %rdx\n"
        "  lea (%rax, %rdx), %rdi\n"
        "  mov $0x510, %edx\n"
        "  out %eax, %dx\n"
        "  mov $-1, %rdi\n"
        "  mov $0x513, %edx\n"
        "  out %eax, %dx\n"
        "  jmp 1b\n"
        "waiting_guest_end:\n"
        ".popsection\n");
extern const uint8_t waiting_guest[], waiting_guest_end[];

/*
 * A wait takes a second; an order ends the wait that it meets. The first order may come between the
 * heartbeat and the wait, and is repeated then.
 */
static void ends_a_wait_by_an_order(void **state)
{
    struct machine *m = machine_with(waiting_guest, waiting_guest_end, 2, NULL, NULL);
    uint64_t before = clock_ns();

    (void)state;
    machine_resume(m, MACHINE_PAUSED);
    for (unsigned i = 1; i <= 20; i++) {
        while (!guest_report_wait(machine_guest_report(m), i, 0, deadline_in_ms(20))) {
            pause_guest(m);
            machine_resume(m, MACHINE_PAUSED);
        }
    }
    CHECK(clock_ns() - before < 10 * NS_PER_S, "20 waits were waited for");
    machine_free(m);
}

/* A guest that checks whether the serial port is ready, writes to it and ends with 5. */
__asm__(".pushsection .rodata\n"
        "talking_guest:\n"
        "  mov $0x3fd, %edx\n"
        "  in %dx, %al\n"
        "  cmp $0x60, %al\n"
        "  jne 1f\n"
        "  lea 2f(%rip), %rsi\n"
        "  mov $5, %ecx\n"
        "  mov $0x3f8, %edx\n"
        "  rep outsb\n"
        "  mov $5, %edi\n"
        "  mov $0x516, %edx\n"
        "1: out %eax, %dx\n"
        "  jmp 1b\n"
        "2: .ascii \"hello\"\n"
        "talking_guest_end:\n"
        ".popsection\n");
extern const uint8_t talking_guest[], talking_guest_end[];

struct text {
    char bytes[64];
    size_t len;
};

static void take_byte(void *arg, uint8_t byte)
{
    struct text *text = arg;

    if (text->len < sizeof(text->bytes))
        text->bytes[text->len++] = (char)byte;
}

static void talks_and_ends_itself(void **state)
{
    struct text text = {0};
    struct machine *m = machine_with(talking_guest, talking_guest_end, 1, take_byte, &text);
    uint64_t code;

    (void)state;
    machine_resume(m, MACHINE_PAUSED);
    CHECK(!guest_report_wait(machine_guest_report(m), 1, 0, DEADLINE_NEVER), "a heartbeat");
    CHECK(guest_report_ended(machine_guest_report(m), &code) && code == 5, "it has not ended");
    pause_guest(m);
    CHECK(text.len == 5 && memcmp(text.bytes, "hello", 5) == 0, "%zu bytes", text.len);
    machine_free(m);
}

/* The guest ends with 3, and has no code after that: pausing and resuming the machine does no
 * harm. */
static void ends_before_it_crashes(void **state)
{
    static const uint8_t code[] = {0xbf, 3, 0, 0, 0, 0xba, 0x16, 5, 0, 0, 0xef, 0x0f, 0x0b};
    struct machine *m = machine_with(code, code + sizeof(code), 2, NULL, NULL);
    struct guest_report *r = machine_guest_report(m);
    struct error err;
    uint64_t exit_code = 0;

    (void)state;
    machine_resume(m, MACHINE_PAUSED);
    CHECK(!guest_report_wait(r, 1, 0, DEADLINE_NEVER), "a heartbeat");
    for (unsigned i = 0; i < 20; i++) {
        pause_guest(m);
        machine_resume(m, MACHINE_PAUSED);
    }
    CHECK(guest_report_ended(r, &exit_code) && exit_code == 3, "%" PRIu64, exit_code);
    OK(guest_report_failure(r, &err), err, "behind its end");
    machine_free(m);
}

/* An ELF file as the linker made it. */
static void runs_a_program(void **state)
{
    struct machine_guest_config config = {.payload = GUEST_PROGRAM, .bytes = MEMORY, .cpus = 2};
    struct machine *m;
    struct error err;

    (void)state;
    OK(machine_kvm_new(&config, &m, &err), err, GUEST_PROGRAM);
    machine_resume(m, MACHINE_PAUSED);
    await(m, 20, 0);
    pause_guest(m);
    CHECK(verdict_of(m).errors == 0 && verdict_of(m).pages_written > 0, "%" PRIu64 " errors",
          verdict_of(m).errors);
    machine_free(m);
}

/* Memory above the devices exists, and each of its pages is a different one. */
static void has_memory_beyond_the_devices(void **state)
{
    struct machine_guest_config config = {
        .guest = "counter", .bytes = (UINT64_C(3) << 30) + MEMORY, .cpus = 1};
    struct machine *m;
    struct error err;

    (void)state;
    OK(machine_kvm_new(&config, &m, &err), err, "machine");
    /* The guest walks only the end of its memory. */
    struct guest_params *params = (struct guest_params *)(m->ram.blocks[0].host + GUEST_PARAMS);
    params->first_page = (GUEST_LOW_MAX >> RAM_PAGE_BITS) - 1;
    params->n_pages = (MEMORY >> RAM_PAGE_BITS) + 1;
    machine_resume(m, MACHINE_PAUSED);
    await_verified(m, 2 * params->n_pages + 1);
    pause_guest(m);
    CHECK(verdict_of(m).errors == 0 && verdict_of(m).pages_written > 2 * params->n_pages,
          "%" PRIu64 " errors", verdict_of(m).errors);
    for (uint64_t i = 0; i < params->n_pages; i++) {
        uint64_t page = params->first_page + i;

        CHECK(page_words(m, page)[0] >> 44 == page, "page %" PRIu64 " was never written", page);
    }
    machine_free(m);
}

#define GUEST(name, memory, vcpus)                                                                 \
    {                                                                                              \
        .guest = (name), .bytes = (memory), .cpus = (vcpus)                                        \
    }

static const struct config_case {
    const char *label;
    struct machine_guest_config config;
    const char *part;
} config_cases[] = {
    {"no such guest", GUEST("sheep", MEMORY, 1), "expected one of counter"},
    {"too little", GUEST("counter", UINT64_C(2) << 20, 1), "from 4M"},
    {"too much", GUEST("counter", (UINT64_C(64) << 30) + (2 << 20), 1), "to 64G"},
    {"an odd length", GUEST("counter", MEMORY + 4096, 1), "multiple of 2M"},
    {"nothing to run", GUEST(NULL, MEMORY, 1), "one of both"},
    {"no payload", {.payload = "/", .bytes = MEMORY, .cpus = 1}, "payload /: expected a file"},
    {"both", {.guest = "counter", .payload = "/", .bytes = MEMORY, .cpus = 1}, "one of both"},
    {"no vCPU", GUEST("counter", MEMORY, 0), "0 vCPUs"},
    {"too many vCPUs", GUEST("counter", MEMORY, GUEST_CPUS_MAX + 1), "17 vCPUs"},
};

/* Throttled to half of its time: it pauses as long as it runs, which is 10 ms, and notices. When
 * released, it runs at once, even out of the longest pause. */
static void is_slowed_down(void **state)
{
    struct machine *m = start(1);

    (void)state;
    await(m, 2, 0);
    m->ops->throttle(m, 50);
    for (uint64_t seen = 2; verdict_of(m).longest_gap_us < 10000; seen++)
        await(m, seen, 0);
    m->ops->throttle(m, 99);
    await(m, verdict_of(m).heartbeats + 2, 0);
    m->ops->throttle(m, 0);
    await(m, verdict_of(m).heartbeats + 50, 0);
    pause_guest(m);
    m->ops->throttle(m, 50);
    CHECK(verdict_of(m).errors == 0, "%" PRIu64 " errors", verdict_of(m).errors);
    machine_free(m);
}

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(config_cases); i++) {
        const struct config_case *c = &config_cases[i];
        struct machine *m;
        struct error err;

        check_refused(c->label, machine_kvm_new(&c->config, &m, &err), &err, ERR_USAGE, c->part);
    }
}

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    (void)number;
    caught = 1;
}

/* A vCPU's thread takes none of the program's signals. */
static void leaves_signals_alone(void **state)
{
    struct machine *m;
    sigset_t set, pending;
    int number;

    (void)state;
    signal(SIGUSR1, on_signal);
    m = start(1);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    pause_guest(m); /* by now it would have arrived */
    CHECK(!caught && sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1),
          "the guest has taken it");
    CHECK(sigwait(&set, &number) == 0 && number == SIGUSR1, "sigwait");
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    signal(SIGUSR1, SIG_DFL);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(pauses),
        cmocka_unit_test(takes_any_orders),
        cmocka_unit_test(finds_the_wrong_page),
        cmocka_unit_test(finds_swapped_and_stale_pages),
        cmocka_unit_test(says_how_a_guest_dies),
        cmocka_unit_test(takes_timer_interrupts),
        cmocka_unit_test(ends_a_wait_by_an_order),
        cmocka_unit_test(talks_and_ends_itself),
        cmocka_unit_test(ends_before_it_crashes),
        cmocka_unit_test(runs_a_program),
        cmocka_unit_test(has_memory_beyond_the_devices),
        cmocka_unit_test(is_slowed_down),
        cmocka_unit_test(refuses),
        cmocka_unit_test(leaves_signals_alone),
    };
    struct error err;

    if (machine_kvm_usable(&err) < 0)
        skip_all(err.text);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
