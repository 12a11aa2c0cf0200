#include "vmm/guest/timer.h"

/* The local APIC's registers (Intel SDM, volume 3, 11.4.1 and 11.5). */
#define LAPIC_EOI       0xb0
#define LAPIC_SPURIOUS  0xf0
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_COUNT     0x380
#define LAPIC_DIVIDE    0x3e0
#define SPURIOUS_ENABLE 0x1ff /* on; spurious interrupts have the last vector */
#define LVT_PERIODIC    0x20000
#define DIVIDE_BY_ONE   0xb

#define VECTOR          0x40
#define SPURIOUS_VECTOR 0xff

/*
 * A timer stands still if there is no interrupt in so many periods of running. From one check to
 * the next at most a part of a period counts as running: a longer gap comes from a host that is
 * busy, or slows us down on purpose.
 */
#define STILL_PERIODS 50
#define RUN_AT_ONCE   2 /* that part is a period divided by this */
/* Interrupts beyond twice those that are due by the TSC: a host may make up for missed ones. */
#define SURPLUS 64

void timer_on_tick(void);
void timer_on_spurious(void);

/*
 * Counts in the lowest word of the vCPU's stack, which it finds because stacks are aligned: nothing
 * else tells vCPUs apart. The code restores the register that it uses, and IRETQ the flags.
 */
__asm__(".pushsection .text.timer_on_tick, \"ax\"\n"
        ".globl timer_on_tick\n"
        "timer_on_tick:\n"
        "  push %rax\n"
        "  mov %rsp, %rax\n"
        "  and $-0x4000, %rax\n" /* GUEST_STACK_BYTES */
        "  incq (%rax)\n"
        "  movabs $0x10000000b0, %rax\n" /* GUEST_LAPIC, LAPIC_EOI */
        "  movl $0, (%rax)\n"
        "  pop %rax\n"
        "  iretq\n"
        ".globl timer_on_spurious\n"
        "timer_on_spurious:\n"
        "  iretq\n"
        ".popsection\n");
_Static_assert(GUEST_STACK_BYTES == 0x4000 && GUEST_LAPIC + LAPIC_EOI == 0x10000000b0,
               "timer_on_tick says other numbers");

static void lapic_write(uint64_t reg, uint32_t value)
{
    *(volatile uint32_t *)(GUEST_LAPIC + reg) = value;
}

/* All vCPUs share the IDT, and write the same. */
static void make_gate(unsigned vector, void (*handler)(void))
{
    volatile uint64_t *gate = guest_words(GUEST_IDT + UINT64_C(16) * vector);
    uint64_t at = (uint64_t)handler;

    gate[1] = at >> 32;
    gate[0] = (at & 0xffff) | (uint64_t)GUEST_CODE << 16 | (uint64_t)GUEST_GATE << 40 |
              (at >> 16 & 0xffff) << 48;
}

/* The vCPU's timer interrupts so far. */
static uint64_t interrupts(const struct timer *t)
{
    return *guest_words(GUEST_STACKS + t->params->vcpu * GUEST_STACK_BYTES);
}

void timer_init(struct timer *t, const struct guest_params *params)
{
    t->params = params;
    t->started_at = t->last = guest_ticks();
    t->started_with = t->seen = t->running = 0;
    if (!params->timer_count)
        return;
    make_gate(VECTOR, timer_on_tick);
    make_gate(SPURIOUS_VECTOR, timer_on_spurious);
    lapic_write(LAPIC_SPURIOUS, SPURIOUS_ENABLE);
    lapic_write(LAPIC_DIVIDE, DIVIDE_BY_ONE);
    lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | VECTOR);
    lapic_write(LAPIC_COUNT, (uint32_t)params->timer_count);
}

static void start_over(struct timer *t, uint64_t now)
{
    t->started_at = now;
    t->started_with += t->seen;
    t->running = t->seen = 0;
}

void timer_check(struct timer *t, uint64_t now)
{
    uint64_t period = t->params->timer_ticks, since = now - t->last;

    if (!t->params->timer_count)
        return;
    uint64_t count = interrupts(t) - t->started_with, due = (now - t->started_at) / period;
    t->last = now;
    t->running += since < period / RUN_AT_ONCE ? since : period / RUN_AT_ONCE;
    if (count != t->seen)
        t->running = 0;
    t->seen = count;
    if (t->running <= STILL_PERIODS * period && count <= 2 * due + SURPLUS)
        return;
    guest_say(GUEST_PORT_WRONG_STATE, GUEST_STATE_TIMER, count, due);
    start_over(t, now);
}
