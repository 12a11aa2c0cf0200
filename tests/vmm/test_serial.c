#include "vmm/serial.h"

#include "tests/support/test.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

#define NONE                                                                                       \
    {                                                                                              \
        LSR, 0                                                                                     \
    }

static const struct register_case {
    const char *label;
    struct {
        unsigned reg;
        uint8_t value;
    } writes[3]; /* LSR cannot be written: it stands for no write */
    unsigned reg;
    uint8_t expected;
} cases[] = {
    {"nothing is received", {NONE, NONE, NONE}, DATA, 0},
    {"no interrupt", {NONE, NONE, NONE}, IIR, 0x01},
    {"no interrupt, FIFOs", {{IIR, 0x07}, NONE, NONE}, IIR, 0xc1},
    {"always ready", {{LSR, 0xff}, NONE, NONE}, LSR, 0x60},
    {"always connected", {{MSR, 0xff}, NONE, NONE}, MSR, 0xb0},
    {"interrupts wanted", {{IER, 0xff}, NONE, NONE}, IER, 0x0f},
    {"line control", {{LCR, 0x1b}, NONE, NONE}, LCR, 0x1b},
    {"modem control", {{MCR, 0xff}, NONE, NONE}, MCR, 0x1f},
    {"scratch", {{SCR, 0xa5}, NONE, NONE}, SCR, 0xa5},
    {"divisor, lower half", {{LCR, 0x80}, {DATA, 0x0c}, NONE}, DATA, 0x0c},
    {"divisor, upper half", {{LCR, 0x80}, {IER, 0xff}, NONE}, IER, 0xff},
    {"the divisor is not IER", {{LCR, 0x80}, {IER, 0xff}, {LCR, 0x03}}, IER, 0},
};

struct text {
    char bytes[16];
    size_t len;
};

static void take(void *arg, uint8_t byte)
{
    struct text *text = arg;

    text->bytes[text->len++] = (char)byte;
}

static void keeps_its_registers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct register_case *c = &cases[i];
        struct text text = {0};
        struct serial s;

        serial_init(&s, take, &text);
        for (size_t w = 0; w < ARRAY_LEN(c->writes); w++)
            serial_write(&s, c->writes[w].reg, c->writes[w].value);
        uint8_t found = serial_read(&s, c->reg);
        CHECK(found == c->expected, "%s: 0x%02x, expected 0x%02x", c->label, found, c->expected);
        CHECK(text.len == 0, "%s: has sent something", c->label);
        serial_done(&s);
    }
}

static void sends(void **state)
{
    struct text text = {0};
    struct serial s;

    (void)state;
    serial_init(&s, take, &text);
    serial_write(&s, LCR, 0x80);
    serial_write(&s, DATA, 'x'); /* the divisor */
    serial_write(&s, LCR, 0x03);
    serial_write(&s, DATA, 'h');
    serial_write(&s, DATA, 'i');
    CHECK(text.len == 2 && memcmp(text.bytes, "hi", 2) == 0, "sent %zu bytes", text.len);
    serial_done(&s);

    serial_init(&s, NULL, NULL);
    serial_write(&s, DATA, 'x'); /* no output is set */
    serial_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_its_registers),
        cmocka_unit_test(sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
