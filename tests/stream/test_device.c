#include "stream/device.h"

#include "stream/description.h"
#include "tests/support/test.h"

struct part {
    uint8_t kind;
    uint16_t level;
};

struct widget {
    uint64_t wide;
    uint32_t list[3];
    uint8_t bytes[5];
    struct part one, parts[2];
};

static const struct field part_fields[] = {FIELD(struct part, kind), FIELD(struct part, level)};
static const struct field_table part_table = {"part", part_fields, ARRAY_LEN(part_fields)};
static const struct field widget_fields[] = {
    FIELD(struct widget, wide),
    FIELD_ARRAY(struct widget, list),
    FIELD_ARRAY(struct widget, bytes),
    FIELD_STRUCT(struct widget, one, &part_table),
    FIELD_STRUCTS(struct widget, parts, &part_table),
};
static const struct field_table widget_table = {"widget", widget_fields, ARRAY_LEN(widget_fields)};

#define WIDGET_LEN (8 + 3 * 4 + 5 + 3 + 2 * 3)

static const struct widget sample = {
    .wide = 0x0102030405060708,
    .list = {0x11121314, 0x21222324, 0x31323334},
    .bytes = {1, 2, 3, 4, 5},
    .one = {0x41, 0x4243},
    .parts = {{0x51, 0x5253}, {0x61, 0x6263}},
};

static bool same(const struct widget *a, const struct widget *b)
{
    return a->wide == b->wide && memcmp(a->list, b->list, sizeof(a->list)) == 0 &&
           memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0 && a->one.kind == b->one.kind &&
           a->one.level == b->one.level && a->parts[0].kind == b->parts[0].kind &&
           a->parts[0].level == b->parts[0].level && a->parts[1].kind == b->parts[1].kind &&
           a->parts[1].level == b->parts[1].level;
}

static void lies_as_the_table_says(void **state)
{
    static const uint8_t expected[WIDGET_LEN] = {
        1,    2,    3,    4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x23, 0x24, 0x31,
        0x32, 0x33, 0x34, 1, 2, 3, 4, 5, 0x41, 0x42, 0x43, 0x51, 0x52, 0x53, 0x61, 0x62, 0x63,
    };
    uint8_t found[WIDGET_LEN];
    struct writer w = writer_of(found, sizeof(found));
    struct reader r = reader_of(found, sizeof(found));
    struct widget back = {0};

    (void)state;
    CHECK(fields_len(&widget_table) == WIDGET_LEN, "%zu bytes", fields_len(&widget_table));
    fields_put(&widget_table, &sample, &w);
    CHECK(!w.short_of && writer_left(&w) == 0, "another length");
    assert_memory_equal(found, expected, sizeof(expected));
    fields_get(&widget_table, &back, &r);
    CHECK(!r.short_of && same(&back, &sample), "not what was put");
    r = reader_of(found, sizeof(found) - 1);
    fields_get(&widget_table, &back, &r);
    CHECK(r.short_of && back.parts[1].level == 0, "one byte short is not noticed");
}

/* Two instances of one device, and a third one. */
struct pair {
    struct widget a, b;
    struct part p;
    struct device devices[3];
};

static void pair_init(struct pair *p)
{
    *p = (struct pair){.a = sample, .b = sample, .p = {7, 8}};
    p->b.wide = 99;
    p->devices[0] = (struct device){"widget", 0, &widget_table, &p->a};
    p->devices[1] = (struct device){"widget", 1, &widget_table, &p->b};
    p->devices[2] = (struct device){"part", 0, &part_table, &p->p};
}

static void comes_back(void **state)
{
    struct buf early = {0}, tail = {0};
    struct pair p, q;
    struct error err;

    (void)state;
    pair_init(&p);
    pair_init(&q);
    memset(&q.a, 0, sizeof(q.a));
    memset(&q.b, 0, sizeof(q.b));
    OK(devices_save(p.devices, 3, &tail, &err), err, "save");
    size_t len = tail.len;
    OK(devices_save(p.devices, 3, &tail, &err), err, "save again");
    CHECK(tail.len == len, "it grows: %zu, then %zu bytes", len, tail.len);
    OK(devices_load(q.devices, 3, &early, &tail, &err), err, "load");
    CHECK(same(&q.a, &p.a) && same(&q.b, &p.b) && q.p.level == 8, "not what was saved");
    buf_done(&tail);
}

/* The section is saved as `from` and loaded as `to`. */
static void refused(const char *label, const struct device *from, size_t n_from,
                    const struct device *to, size_t n_to, const char *part)
{
    struct buf early = {0}, tail = {0};
    struct error err;

    OK(devices_save(from, n_from, &tail, &err), err, label);
    check_refused(label, devices_load(to, n_to, &early, &tail, &err), &err, ERR_PEER, part);
    buf_done(&tail);
}

static void refuses_what_does_not_fit(void **state)
{
    struct buf early = {0}, tail = {0};
    struct pair p, q;
    struct error err;

    (void)state;
    pair_init(&p);
    pair_init(&q);
    refused("one less", p.devices, 2, q.devices, 3, "'part' 0: the stream has no section");
    refused("one more", p.devices, 3, q.devices, 2, "'part' 0: there is no such device");
    q.devices[1].instance = 5;
    refused("another instance", p.devices, 3, q.devices, 3, "'widget' 1: there is no such");
    pair_init(&q);
    q.devices[2].fields = &widget_table;
    refused("another layout", p.devices, 3, q.devices, 3, "'part' 0: its section has another");
    p.devices[1].instance = 0;
    refused("twice", p.devices, 3, p.devices, 3, "'widget' 0: a second section");
    OK(devices_save(p.devices, 1, &tail, &err), err, "save");
    tail.len--;
    check_refused("cut", devices_load(p.devices, 1, &early, &tail, &err), &err, ERR_PEER,
                  "description");
    buf_done(&tail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_as_the_table_says),
        cmocka_unit_test(comes_back),
        cmocka_unit_test(refuses_what_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
