/* Sections that iterate: what the savers of a list write, its loaders read; and what they refuse.
 */
#include "stream/section_handler.h"

#include "base/macros.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

static const struct section_kind ram_kind = {"ram", 0, 4, "RAM section"};
static const struct section_kind nic_kinds[] = {{"nic", 0, 1, "nic 0"}, {"nic", 1, 1, "nic 1"}};

/* --- savers and loaders whose bodies are a byte ---------------------------------------------- */

struct saver {
    struct section_saver base;
    char says;
    uint64_t pending;
    bool fails; /* in its end */
};

static int say(struct section_saver *s, char what, struct stream_out *out)
{
    out_u8(out, (uint8_t)CONTAINER_OF(s, struct saver, base)->says);
    out_u8(out, (uint8_t)what);
    return 0;
}

static int start(struct section_saver *s, struct stream_out *out, struct error *err)
{
    (void)err;
    return say(s, 's', out);
}

static int part(struct section_saver *s, struct stream_out *out, struct error *err)
{
    (void)err;
    return say(s, 'p', out);
}

static int end(struct section_saver *s, struct stream_out *out, struct error *err)
{
    if (CONTAINER_OF(s, struct saver, base)->fails)
        return err_set(err, ERR_SYSTEM, "no end");
    return say(s, 'e', out);
}

static uint64_t pending(const struct section_saver *s)
{
    return CONTAINER_OF(s, const struct saver, base)->pending;
}

static const struct section_saver_ops saver_ops = {start, part, end, pending};

struct loader {
    struct section_loader base;
    char heard[16]; /* the bodies' bytes */
};

static int load(struct section_loader *l, struct stream_in *in, const struct section *s,
                struct error *err)
{
    char *heard = CONTAINER_OF(l, struct loader, base)->heard;

    (void)s;
    heard[strlen(heard)] = (char)in_u8(in);
    heard[strlen(heard)] = (char)in_u8(in);
    return stream_in_check(in, err);
}

/* "ram" and two instances of "nic". */
struct three {
    struct loader ram, nics[2];
    struct section_loaders list;
};

static void three_init(struct three *t)
{
    *t = (struct three){.ram.base = {.kind = &ram_kind, .load = load}};
    section_loaders_add(&t->list, &t->ram.base);
    for (size_t i = 0; i < 2; i++) {
        t->nics[i].base = (struct section_loader){.kind = &nic_kinds[i], .load = load};
        section_loaders_add(&t->list, &t->nics[i].base);
    }
}

/* Sections until the bytes end, or one is refused. */
static int load_all(struct three *t, const void *wire, size_t len, struct error *err)
{
    struct stream_in in;
    int rc = 0;

    three_init(t);
    bytes_stream_in(&in, wire, len);
    while (rc == 0 && stream_in_wait(&in)) {
        struct section s;

        section_in_begin(&in, (enum stream_element)in_u8(&in), &s);
        rc = stream_in_check(&in, err);
        if (rc == 0)
            rc = section_loaders_in(&t->list, &s, &in, err);
    }
    bytes_stream_in_done(&in);
    return rc;
}

/* --- tests ----------------------------------------------------------------------------------- */

#define RAM(id, version, body)  "\1\0\0\0" id "\3ram\0\0\0\0\0\0\0" version body "\x7e\0\0\0" id
#define NIC(id, instance, body) "\1\0\0\0" id "\3nic\0\0\0" instance "\0\0\0\1" body "\x7e\0\0\0" id
#define PART(id, body)          "\2\0\0\0" id body "\x7e\0\0\0" id
#define END(id, body)           "\3\0\0\0" id body "\x7e\0\0\0" id

/* Each list is walked in its order, and the loaders need not have the order of the savers. */
static void all_of_a_list(void **state)
{
    static const char want[] =
        RAM("\7", "\4", "rs") NIC("\2", "\1", "bs") NIC("\3", "\0", "as") PART("\7", "rp")
            PART("\2", "bp") PART("\3", "ap") END("\7", "re") END("\2", "be") END("\3", "ae");
    struct saver savers[] = {
        {{&saver_ops, &ram_kind, 7, NULL}, 'r', 1000, false},
        {{&saver_ops, &nic_kinds[1], 2, NULL}, 'b', 200, false},
        {{&saver_ops, &nic_kinds[0], 3, NULL}, 'a', 30, false},
    };
    struct section_savers list = {0};
    struct bytes_out o;
    struct three t;
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(savers); i++)
        section_savers_add(&list, &savers[i].base);
    assert_int_equal(section_savers_pending(&list), 1230);
    bytes_out_init(&o);
    OK(section_savers_out(&list, STREAM_SECTION_START, &o.out, &err), err, "start");
    OK(section_savers_out(&list, STREAM_SECTION_PART, &o.out, &err), err, "part");
    OK(section_savers_out(&list, STREAM_SECTION_END, &o.out, &err), err, "end");
    struct buf wire = bytes_out_take(&o);
    CHECK(wire.len == sizeof(want) - 1 && memcmp(wire.data, want, wire.len) == 0, "otherwise");
    OK(load_all(&t, wire.data, wire.len, &err), err, "load");
    assert_string_equal(t.ram.heard, "rsrpre");
    assert_string_equal(t.nics[0].heard, "asapae");
    assert_string_equal(t.nics[1].heard, "bsbpbe");
    assert_true(section_loaders_ended(&t.list));
    buf_done(&wire);
}

/* What comes after a saver that fails is not written. */
static void a_saver_fails(void **state)
{
    struct saver savers[] = {
        {{&saver_ops, &nic_kinds[0], 1, NULL}, 'a', 0, true},
        {{&saver_ops, &nic_kinds[1], 2, NULL}, 'b', 0, false},
    };
    struct section_savers list = {0};
    struct bytes_out o;
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(savers); i++)
        section_savers_add(&list, &savers[i].base);
    bytes_out_init(&o);
    check_refused("end", section_savers_out(&list, STREAM_SECTION_END, &o.out, &err), &err,
                  ERR_SYSTEM, "no end");
    struct buf wire = bytes_out_take(&o);
    CHECK(wire.len <= 5, "%zu bytes", wire.len);
    buf_done(&wire);
}

#define WIRE(bytes) bytes, sizeof(bytes) - 1

static const struct case_of {
    const char *label, *wire;
    size_t len;
    const char *refused; /* NULL: it passes, and not all has ended */
} cases[] = {
    {"one of three has ended", WIRE(RAM("\1", "\4", "rs") END("\1", "re")), NULL},
    {"one of three is open",
     WIRE(RAM("\1", "\4", "rs") NIC("\2", "\0", "as") NIC("\3", "\1", "bs") END("\1", "re")
              END("\2", "ae")),
     NULL},
    {"no loader", WIRE("\1\0\0\0\1\4disk\0\0\0\0\0\0\0\1"),
     "section 'disk' iterates, expected only 'ram', 'nic', 'nic': nothing here takes it"},
    {"a third instance", WIRE(NIC("\1", "\2", "cs")), "instance 2, expected 1"},
    {"another version", WIRE(RAM("\1", "\5", "rs")), "RAM section: version 5, expected 4"},
    {"a second start", WIRE(NIC("\1", "\1", "bs") NIC("\2", "\1", "bs")), "a second nic 1 start"},
    {"an id twice", WIRE(RAM("\1", "\4", "rs") NIC("\1", "\0", "as")),
     "nic 0: section id 1, which another section has"},
    {"an id of one that has ended",
     WIRE(RAM("\1", "\4", "rs") END("\1", "re") NIC("\1", "\0", "as")),
     "nic 0: section id 1, which another section has"},
    {"a part first", WIRE(PART("\0", "rp")), "section id 0: never started"},
    {"an end first", WIRE(RAM("\1", "\4", "rs") END("\2", "ae")), "section id 2: never started"},
    {"a part after the end", WIRE(RAM("\1", "\4", "rs") END("\1", "re") PART("\1", "rp")),
     "RAM section: goes on after its end"},
    {"a second end", WIRE(RAM("\1", "\4", "rs") END("\1", "re") END("\1", "re")),
     "RAM section: goes on after its end"},
    {"a longer body", WIRE(RAM("\1", "\4", "rss")), "section footer: found byte 0x73"},
    {"another footer", WIRE("\1\0\0\0\1\3ram\0\0\0\0\0\0\0\4rs\x7e\0\0\0\2"),
     "section footer: id 2, expected 1"},
    {"a body that is cut", WIRE("\1\0\0\0\1\3ram\0\0\0\0\0\0\0\4r"), ""},
};

static void what_may_follow_what(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct case_of *c = &cases[i];
        struct three t;
        struct error err;
        int rc = load_all(&t, c->wire, c->len, &err);

        if (c->refused)
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
        else
            OK(rc, err, c->label);
        CHECK(!section_loaders_ended(&t.list), "%s: ended", c->label);
    }
}

/* An error names as many loaders as there is room for. */
static void many_loaders(void **state)
{
    static const struct section_kind long_kind = {"a-device-with-a-long-name", 0, 1, "long"};
    struct section_loader loaders[20];
    struct section_loaders list = {0};
    struct section s = {.type = STREAM_SECTION_START, .name = "disk"};
    struct stream_in in;
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(loaders); i++) {
        loaders[i] = (struct section_loader){.kind = &long_kind, .load = load};
        section_loaders_add(&list, &loaders[i]);
    }
    bytes_stream_in(&in, "", 0);
    check_refused("many", section_loaders_in(&list, &s, &in, &err), &err, ERR_PEER,
                  "'a-device-with-a-long-name', 'a-device-");
    bytes_stream_in_done(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_a_list),
        cmocka_unit_test(a_saver_fails),
        cmocka_unit_test(what_may_follow_what),
        cmocka_unit_test(many_loaders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
