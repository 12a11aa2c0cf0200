/*
 * vmm/serial.h: the serial port of a PC (16550A), as far as a guest needs it to write text. It is
 * always ready to send, receives nothing, and raises no interrupt; its other registers can be
 * written and read back.
 * Registers: the data sheet of National Semiconductor's PC16550D, 8.0.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#define SERIAL_PORTS 8

/* Plain data: all of the port's state that migrates. */
struct serial_state {
    uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
};

/* Takes a byte that the guest has sent, on the vCPU's thread; one at a time. */
typedef void serial_sink(void *arg, uint8_t byte);

struct serial {
    /* Set before it is used, read-only after. */
    serial_sink *sink; /* NULL: bytes are dropped */
    void *arg;

    pthread_mutex_t lock;
    struct serial_state state; /* any thread, under lock; or while the guest is paused */
};

void serial_init(struct serial *s, serial_sink *sink, void *arg);
void serial_done(struct serial *s);

/* A register of 0 to SERIAL_PORTS - 1, by any vCPU's thread. */
void serial_write(struct serial *s, unsigned reg, uint8_t value);
uint8_t serial_read(struct serial *s, unsigned reg);
