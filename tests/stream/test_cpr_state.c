#include "stream/cpr_state.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/support/temp.h"
#include "tests/support/test.h"

#define HEAD     "QCPR\0\0\0\1"
#define ENTRY    "\1\0\0\0\7pc.ram\0\0\0\0\0"
#define NUMBER   "\0\0\0\3"
#define END      "\0"
#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

static void what_is_written(void **state)
{
    static const char numbered[] = HEAD ENTRY NUMBER "\1\0\0\0\2x\0\0\0\0\0\0\0\1\2" END;
    struct cpr_state s = {.n = 0}, back;
    struct buf out = {0};
    struct error err;

    (void)state;
    OK(cpr_state_add(&s, "pc.ram", 3, &err), err, "add");
    OK(cpr_state_add(&s, "x", 0x102, &err), err, "add");
    OK(cpr_state_encode_numbered(&s, &out, &err), err, "encode");
    CHECK(out.len == sizeof(numbered) - 1 && memcmp(out.data, numbered, out.len) == 0, "bytes");
    assert_int_equal(cpr_state_decode(out.data, out.len, CPR_NUMBERED, &back, &err), 1);
    assert_int_equal(back.n, 2);
    CHECK(strcmp(back.entries[1].name, "x") == 0 && back.entries[1].fd == 0x102, "read back");
    for (size_t len = 0; len < out.len; len++)
        CHECK(cpr_state_decode(out.data, len, CPR_NUMBERED, &back, &err) == 0,
              "cut behind %zu bytes", len);
    buf_done(&out);
}

static void what_is_passed(void **state)
{
    static const char passed[] = HEAD ENTRY " " END;
    struct cpr_state s;
    struct error err;

    (void)state;
    for (size_t len = 0; len < sizeof(passed) - 1; len++)
        CHECK(cpr_state_decode((const uint8_t *)passed, len, CPR_PASSED, &s, &err) == 0,
              "cut behind %zu bytes", len);
    assert_int_equal(cpr_state_decode(BYTES(passed), CPR_PASSED, &s, &err), 1);
    CHECK(s.n == 1 && s.entries[0].fd == 0 && s.entries[0].id == 0, "its index");
}

/* Written by a QEMU, read and written again: only the descriptors differ; they are spaces. */
static void as_a_qemu_writes_it(void **state)
{
    static const char *const names[] = {"/rom@etc/acpi/rsdp",
                                        "/rom@etc/table-loader",
                                        "/rom@etc/acpi/tables",
                                        "pc.rom",
                                        "pc.bios",
                                        "m"};
    struct buf bytes = golden("cpr/v10-transfer.bin"), out = {0};
    static const uint8_t passed = CPR_PASSED_BYTE;
    struct cpr_state s;
    struct error err;

    (void)state;
    assert_int_equal(cpr_state_decode(bytes.data, bytes.len, CPR_PASSED, &s, &err), 1);
    assert_int_equal(s.n, ARRAY_LEN(names));
    OK(cpr_state_encode_head(&out, &err), err, "head");
    for (size_t i = 0; i < s.n; i++) {
        assert_string_equal(s.entries[i].name, names[i]);
        OK(cpr_state_encode_entry(&s.entries[i], &out, &err), err, names[i]);
        OK(buf_append(&out, &passed, 1, &err), err, names[i]);
    }
    OK(cpr_state_encode_end(&out, &err), err, "end");
    CHECK(out.len == bytes.len && memcmp(out.data, bytes.data, out.len) == 0, "other bytes");
    buf_done(&bytes);
    buf_done(&out);
}

static const struct hostile_case {
    const char *label;
    const uint8_t *bytes;
    size_t len;
    const char *part;
} hostile_cases[] = {
    {"another magic", BYTES("QEVM"), "magic 0x5145564d, expected 0x51435052"},
    {"another version", BYTES("QCPR\0\0\0\2"), "version 2, expected 1"},
    {"a mark", BYTES(HEAD "\2"), "entry 0: begins with 2"},
    {"no name", BYTES(HEAD "\1\0\0\0\0"), "a name of 0 bytes"},
    {"an empty name", BYTES(HEAD "\1\0\0\0\1\0"), "a name of 1 bytes"},
    {"a name that is too long, before it comes", BYTES(HEAD "\1\0\0\1\1"), "a name of 257 bytes"},
    {"a huge name", BYTES(HEAD "\1\xff\xff\xff\xff"), "a name of 4294967295 bytes"},
    {"no terminator", BYTES(HEAD "\1\0\0\0\2xy\0\0\0\0"), "does not end where it should"},
    {"a terminator inside", BYTES(HEAD "\1\0\0\0\4x\0y\0"), "does not end where it should"},
    {"twice", BYTES(HEAD ENTRY NUMBER ENTRY NUMBER), "'pc.ram': named twice"},
    {"something after", BYTES(HEAD END "xy"), "2 bytes after the list"},
    {"devices", BYTES(HEAD END "\5\3vfi"), "state of devices"},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile_cases); i++) {
        const struct hostile_case *c = &hostile_cases[i];
        struct cpr_state s;
        struct error err;

        check_refused(c->label, cpr_state_decode(c->bytes, c->len, CPR_NUMBERED, &s, &err), &err,
                      ERR_PEER, c->part);
    }
}

/* The greatest allowed number, and one more. */
static void has_limits(void **state)
{
    struct cpr_state s = {.n = 0}, back;
    char name[CPR_NAME_MAX + 1];
    struct buf out = {0};
    struct error err;

    (void)state;
    for (int i = 0; i < CPR_ENTRIES_MAX; i++) {
        snprintf(name, sizeof(name), "%0*d", CPR_NAME_MAX - 1, i);
        OK(cpr_state_add(&s, name, i, &err), err, name);
    }
    check_refused("one more", cpr_state_add(&s, "x", 1, &err), &err, ERR_USAGE, "more than 64");
    OK(cpr_state_encode_numbered(&s, &out, &err), err, "encode");
    CHECK(out.len <= CPR_STATE_MAX, "%zu bytes", out.len);
    assert_int_equal(cpr_state_decode(out.data, out.len, CPR_NUMBERED, &back, &err), 1);
    out.len--;
    OK(cpr_state_encode_entry(&s.entries[0], &out, &err), err, "one more");
    check_refused("one more", cpr_state_decode(out.data, out.len, CPR_NUMBERED, &back, &err), &err,
                  ERR_PEER, "more than 64 entries");
    buf_done(&out);
    s.n = 0;
    memset(name, 'x', CPR_NAME_MAX);
    name[CPR_NAME_MAX] = 0;
    check_refused("a long name", cpr_state_add(&s, name, 1, &err), &err, ERR_USAGE, "256 bytes");
}

static void takes_and_closes(void **state)
{
    struct cpr_state s = {.n = 0};
    int a = open("/dev/null", O_RDONLY | O_CLOEXEC), b = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct error err;

    (void)state;
    OK(cpr_state_add(&s, "a", a, &err), err, "a");
    OK(cpr_state_add(&s, "b", b, &err), err, "b");
    assert_int_equal(cpr_state_take(&s, "c"), -1);
    assert_int_equal(cpr_state_take(&s, "a"), a);
    assert_int_equal(cpr_state_take(&s, "a"), -1);
    assert_string_equal(cpr_state_left(&s), "b");
    cpr_state_close(&s);
    assert_null(cpr_state_left(&s));
    CHECK(fcntl(a, F_GETFD) >= 0 && fcntl(b, F_GETFD) < 0, "only what was left is closed");
    close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written),     cmocka_unit_test(what_is_passed),
        cmocka_unit_test(as_a_qemu_writes_it), cmocka_unit_test(refuses),
        cmocka_unit_test(has_limits),          cmocka_unit_test(takes_and_closes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
