#include "stream/section.h"

#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

#define WIRE(text) text, sizeof(text) - 1

static const struct both_case {
    const char *label;
    struct section section;
    const char *wire;
    size_t len;
} both_cases[] = {
    {"start", {STREAM_SECTION_START, 2, "ram", 0, 4}, WIRE("\1\0\0\0\2\3ram\0\0\0\0\0\0\0\4")},
    {"part", {STREAM_SECTION_PART, 2, "", 0, 0}, WIRE("\2\0\0\0\2")},
    {"end", {STREAM_SECTION_END, 0xffffffff, "", 0, 0}, WIRE("\3\xff\xff\xff\xff")},
    {"full", {STREAM_SECTION_FULL, 7, "a/b", 3, 1}, WIRE("\4\0\0\0\7\3a/b\0\0\0\3\0\0\0\1")},
};

static void both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(both_cases); i++) {
        const struct both_case *c = &both_cases[i];
        struct bytes_out o;
        struct stream_in in;
        struct section s;
        struct error err;

        bytes_out_init(&o);
        section_out_begin(&o.out, &c->section);
        struct buf b = bytes_out_take(&o);
        CHECK(b.len == c->len && memcmp(b.data, c->wire, b.len) == 0, "%s: written", c->label);
        buf_done(&b);
        bytes_stream_in(&in, c->wire, c->len);
        enum stream_element type = (enum stream_element)in_u8(&in);
        section_in_begin(&in, type, &s);
        OK(stream_in_check(&in, &err), err, c->label);
        CHECK(s.type == c->section.type && s.id == c->section.id &&
                  strcmp(s.name, c->section.name) == 0 && s.instance == c->section.instance &&
                  s.version == c->section.version,
              "%s: read otherwise", c->label);
        bytes_stream_in_done(&in);
        for (size_t len = 1; len < c->len; len++) {
            bytes_stream_in(&in, c->wire, len);
            type = (enum stream_element)in_u8(&in);
            section_in_begin(&in, type, &s);
            CHECK(stream_in_check(&in, &err) < 0, "%s: cut at %zu", c->label, len);
            bytes_stream_in_done(&in);
        }
    }
}

static const struct footer_case {
    const char *label, *wire;
    size_t len;
    const char *refused;
} footer_cases[] = {
    {"good", WIRE("\x7e\0\0\0\7"), NULL},
    {"other id", WIRE("\x7e\0\0\0\6"), "section footer: id 6, expected 7"},
    {"missing", WIRE("\2\0\0\0\7"), "section footer: found byte 0x02, expected 0x7e"},
    {"cut", WIRE("\x7e\0\0\0"), "the file ends"},
    {"none at all", WIRE(""), "the file ends"},
};

static void footers(void **state)
{
    const struct section s = {.type = STREAM_SECTION_PART, .id = 7};
    struct bytes_out o;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(footer_cases); i++) {
        const struct footer_case *c = &footer_cases[i];
        struct stream_in in;
        struct error err;

        bytes_stream_in(&in, c->wire, c->len);
        section_in_end(&in, &s);
        int rc = stream_in_check(&in, &err);
        if (c->refused)
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
        else
            OK(rc, err, c->label);
        bytes_stream_in_done(&in);
    }
    bytes_out_init(&o);
    section_out_end(&o.out, &s);
    struct buf b = bytes_out_take(&o);
    CHECK(b.len == 5 && memcmp(b.data, "\x7e\0\0\0\7", 5) == 0, "written otherwise");
    buf_done(&b);
}

static const struct skip_case {
    const char *label, *wire; /* after the section's header; id 7 */
    size_t len, left;         /* bytes that are left; 0: refused */
} skip_cases[] = {
    {"next is a full section", WIRE("body\x7e\0\0\0\7\4\0\0\0\1\3ram"), 9},
    {"next is a start", WIRE("\x7e\0\0\0\7\1\0\0\0\1\3ram"), 9},
    {"next is a command", WIRE("x\x7e\0\0\0\7\x8\0\2\0\4\0\0\0\1"), 9},
    {"next is a part", WIRE("x\x7e\0\0\0\7\2\0\0\0\1\0"), 6},
    {"a footer's look-alike inside", WIRE("\x7e\0\0\0\7zzzzzz\x7e\0\0\0\7\2\0\0\0\1\0"), 6},
    {"another id's footer inside", WIRE("\x7e\0\0\0\6\2\0\0\0\1\x7e\0\0\0\7\2\0\0\0\1\0"), 6},
    {"nothing behind", WIRE("body\x7e\0\0\0\7"), 0},
    {"no footer", WIRE("body body body body body"), 0},
    {"empty", WIRE(""), 0},
};

static void skips_unknown_sections(void **state)
{
    const struct section s = {.type = STREAM_SECTION_FULL, .id = 7, .name = "dev"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(skip_cases); i++) {
        const struct skip_case *c = &skip_cases[i];
        struct stream_in in;
        struct error err;

        bytes_stream_in(&in, c->wire, c->len);
        section_in_skip(&in, &s);
        int rc = stream_in_check(&in, &err);
        if (c->left)
            CHECK(rc == 0 && in.offset == c->len - c->left, "%s: at %llu of %zu", c->label,
                  (unsigned long long)in.offset, c->len);
        else
            check_refused(c->label, rc, &err, ERR_PEER, "the file ends");
        bytes_stream_in_done(&in);
    }
}

/* The footer crosses every possible edge of the reader's buffer. */
static void skips_over_buffer_edges(void **state)
{
    enum { LEN = STREAM_IN_ROOM + 64 };
    const struct section s = {.type = STREAM_SECTION_FULL, .id = 7, .name = "dev"};
    uint8_t *wire = malloc(LEN);

    (void)state;
    for (size_t at = STREAM_IN_ROOM - 16; at < STREAM_IN_ROOM + 16; at++) {
        struct stream_in in;
        struct error err;

        memset(wire, 0x33, LEN);
        memcpy(wire + at, "\x7e\0\0\0\7\2\0\0\0\1\0", 11);
        bytes_stream_in(&in, wire, LEN);
        section_in_skip(&in, &s);
        OK(stream_in_check(&in, &err), err, "skip");
        CHECK(in.offset == at + 5, "footer at %zu: left at %llu", at,
              (unsigned long long)in.offset);
        bytes_stream_in_done(&in);
    }
    free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(footers),
        cmocka_unit_test(skips_unknown_sections),
        cmocka_unit_test(skips_over_buffer_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
