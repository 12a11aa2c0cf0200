#include "vmm/serial.h"

/* By number. Some registers share one: a read, a write and LCR_DLAB tell them apart. */
enum {
    REG_DATA, /* or the divisor's lower half */
    REG_IER,  /* or its upper half */
    REG_IIR,  /* written: FCR */
    REG_LCR,
    REG_MCR,
    REG_LSR, /* cannot be written */
    REG_MSR, /* cannot be written */
    REG_SCR,
};

#define IER_BITS      0x0f
#define FCR_BITS      0xc9 /* the bits that stay; those that clear a FIFO do not */
#define FCR_ENABLE    0x01
#define IIR_NONE      0x01 /* no interrupt is pending */
#define IIR_FIFO      0xc0
#define LCR_DLAB      0x80
#define MCR_BITS      0x1f
#define LSR_SENT_ALL  0x60 /* holding register and shift register are empty */
#define MSR_CONNECTED 0xb0 /* carrier, data set ready, clear to send */

void serial_init(struct serial *s, serial_sink *sink, void *arg)
{
    *s = (struct serial){.sink = sink, .arg = arg};
    pthread_mutex_init(&s->lock, NULL);
}

void serial_done(struct serial *s)
{
    pthread_mutex_destroy(&s->lock);
}

static void write_data(struct serial *s, uint8_t value)
{
    if (s->state.lcr & LCR_DLAB)
        s->state.dll = value;
    else if (s->sink)
        s->sink(s->arg, value);
}

static void write_enable(struct serial_state *state, uint8_t value)
{
    if (state->lcr & LCR_DLAB)
        state->dlm = value;
    else
        state->ier = value & IER_BITS;
}

void serial_write(struct serial *s, unsigned reg, uint8_t value)
{
    pthread_mutex_lock(&s->lock);
    switch (reg) {
    case REG_DATA:
        write_data(s, value);
        break;
    case REG_IER:
        write_enable(&s->state, value);
        break;
    case REG_IIR:
        s->state.fcr = value & FCR_BITS;
        break;
    case REG_LCR:
        s->state.lcr = value;
        break;
    case REG_MCR:
        s->state.mcr = value & MCR_BITS;
        break;
    case REG_SCR:
        s->state.scr = value;
        break;
    default:
        break;
    }
    pthread_mutex_unlock(&s->lock);
}

static uint8_t read_register(const struct serial_state *state, unsigned reg)
{
    switch (reg) {
    case REG_DATA:
        return state->lcr & LCR_DLAB ? state->dll : 0;
    case REG_IER:
        return state->lcr & LCR_DLAB ? state->dlm : state->ier;
    case REG_IIR:
        return IIR_NONE | (state->fcr & FCR_ENABLE ? IIR_FIFO : 0);
    case REG_LCR:
        return state->lcr;
    case REG_MCR:
        return state->mcr;
    case REG_LSR:
        return LSR_SENT_ALL;
    case REG_MSR:
        return MSR_CONNECTED;
    default:
        return state->scr;
    }
}

uint8_t serial_read(struct serial *s, unsigned reg)
{
    pthread_mutex_lock(&s->lock);
    uint8_t value = read_register(&s->state, reg);
    pthread_mutex_unlock(&s->lock);
    return value;
}
