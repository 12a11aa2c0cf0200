#include "vmm/guest/pulse.h"

void pulse_attach(struct pulse *p, const struct guest_params *params)
{
    p->params = p->timer.params = params;
}

void pulse_init(struct pulse *p, const struct guest_params *params)
{
    pulse_attach(p, params);
    p->next = p->last = guest_ticks();
    timer_init(&p->timer, params);
    registers_init(&p->registers, params->seed ^ params->vcpu);
    guest_say(GUEST_PORT_FACT, GUEST_FACT_VECTOR, p->registers.vector_bytes, 0);
}

/* After a TSC that went backwards, `next` might not be due for a long time: a heartbeat is due now.
 */
uint64_t pulse_now(struct pulse *p)
{
    uint64_t now = guest_ticks();

    if (now < p->last) {
        guest_say(GUEST_PORT_WRONG_STATE, GUEST_STATE_TSC, now, p->last);
        p->next = now;
    }
    p->last = now;
    return now;
}

void pulse_beat(struct pulse *p, uint64_t now, uint64_t verified, uint64_t written)
{
    if (now < p->next)
        return;
    timer_check(&p->timer, now);
    registers_check(&p->registers);
    guest_say(GUEST_PORT_HEARTBEAT, now, verified, written);
    p->next = now + p->params->heartbeat_ticks;
}

void pulse_wait(struct pulse *p, uint64_t until)
{
    uint64_t now = pulse_now(p);

    if (until > p->next)
        until = p->next;
    if (now < until)
        registers_wait(&p->registers, until - now);
}
