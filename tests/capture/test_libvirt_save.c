/* What libvirt writes before a stream: real files, files of ours, and damaged ones. */
#include "capture/libvirt_save.h"

#include <endian.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

#define ZEROS_AT 1305 /* where the recorded XML and cookie end */
#define TEXT_LEN 66749

/* The start of a recorded file, with the zeros that were cut off, and a byte of its stream. */
static struct buf recorded(const char *name)
{
    struct buf b = golden(name);
    struct error err;

    CHECK(b.len == ZEROS_AT, "%s: %zu bytes", name, b.len);
    while (b.len < LIBVIRT_SAVE_HEAD_LEN + TEXT_LEN)
        OK(buf_append(&b, "", 1, &err), err, name);
    OK(buf_append(&b, "Q", 1, &err), err, name);
    return b;
}

static int decode(const struct buf *b, struct libvirt_save *ret, struct error *err)
{
    int fd = bytes_fd(b->data, b->len);
    int rc = libvirt_save_read(fd, ret, err);

    close(fd);
    return rc;
}

static const struct real_case {
    const char *file;
    enum libvirt_format format;
    bool running;
} real_cases[] = {
    {"libvirt/v9-plain.head", LIBVIRT_PLAIN, true},
    {"libvirt/v9-paused.head", LIBVIRT_PLAIN, false},
    {"libvirt/v9-gzip.head", LIBVIRT_GZIP, true},
    {"libvirt/v9-xz.head", LIBVIRT_XZ, true},
    {"libvirt/v11-sparse.head", LIBVIRT_SPARSE, true},
};

static void real_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(real_cases); i++) {
        const struct real_case *c = &real_cases[i];
        struct buf b = recorded(c->file), made = {0};
        struct libvirt_save s;
        struct error err;

        CHECK(decode(&b, &s, &err) == 1, "%s: %s", c->file, err.text);
        CHECK(s.format == c->format && s.running == c->running, "%s: format %d", c->file, s.format);
        CHECK(strcmp(s.name, "tiny") == 0, "%s: domain '%s'", c->file, s.name);
        CHECK(s.xml_len == 976 && s.cookie_len == 235, "%s: %zu and %zu bytes", c->file, s.xml_len,
              s.cookie_len);
        CHECK(s.stream_offset == b.len - 1, "%s: the stream's offset", c->file);
        /* Ours has the same bytes: libvirt leaves the same room for a longer XML. */
        OK(libvirt_save_encode(&s, &made, &err), err, c->file);
        CHECK(made.len == b.len - 1 && memcmp(made.data, b.data, made.len) == 0,
              "%s: encoded to other bytes", c->file);
        buf_done(&made);
        buf_done(&b);
        libvirt_save_done(&s);
    }
}

/* A host of the other byte order: the five numbers are reversed. */
static void other_byte_order(void **state)
{
    struct buf b = recorded("libvirt/v9-xz.head");
    struct libvirt_save s;
    struct error err;

    (void)state;
    for (size_t at = 16; at < 36; at += 4) {
        uint32_t n;

        memcpy(&n, b.data + at, sizeof(n));
        n = __builtin_bswap32(n);
        memcpy(b.data + at, &n, sizeof(n));
    }
    CHECK(decode(&b, &s, &err) == 1, "%s", err.text);
    CHECK(s.format == LIBVIRT_XZ && s.xml_len == 976, "format %d", s.format);
    libvirt_save_done(&s);
    buf_done(&b);
}

/* Sets the number at `at`. */
static const struct bad_case {
    const char *label;
    size_t at;
    uint32_t value;
    size_t len; /* of the file; 0: all of it */
    const char *refused;
} bad_cases[] = {
    {"a later version", 16, 3, 0, "version 3, expected 1 to 2"},
    {"no version", 16, 0, 0, "version 0"},
    {"no text", 20, 0, 0, "0 bytes of XML"},
    {"the longest text", 20, UINT32_MAX, 0, "4294967295 bytes of XML, expected 1 to 16777216"},
    {"text past the end", 20, TEXT_LEN + 2, 0, "was it cut?"},
    {"cut in the text", 20, TEXT_LEN, 5000, "but the file has only 4908 after its header"},
    {"a cookie without an end", 20, 1100, 0, "its cookie does not end"},
    {"an unknown format", 28, 7, 0, "format 7, expected 0 to 6"},
    {"a cookie past the text", 32, TEXT_LEN, 0, "cookie at byte 66749, expected less"},
    {"a cookie in the XML", 32, 976, 0, "cookie at byte 976, inside the XML"},
    {"not whole", 12, 0x74726150 /* "Part" */, 0, "saving it was interrupted"},
};

static void damaged_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct buf b = recorded("libvirt/v9-plain.head");
        uint32_t value = htole32(c->value);
        struct libvirt_save s;
        struct error err;

        memcpy(b.data + c->at, &value, sizeof(value));
        b.len = c->len ? c->len : b.len;
        check_refused(c->label, decode(&b, &s, &err), &err, ERR_PEER, c->refused);
        buf_done(&b);
    }
}

/* Text to its last byte, and no cookie. */
static void endless_text(void **state)
{
    struct buf b = recorded("libvirt/v9-plain.head");
    struct libvirt_save s;
    struct error err;

    (void)state;
    memset(b.data + LIBVIRT_SAVE_HEAD_LEN, 'x', TEXT_LEN);
    memset(b.data + 32, 0, 4);
    check_refused("text without an end", decode(&b, &s, &err), &err, ERR_PEER,
                  "its XML does not end");
    buf_done(&b);
}

static void other_files(void **state)
{
    struct buf b = recorded("libvirt/v9-plain.head");
    struct libvirt_save s;
    struct error err;

    (void)state;
    for (size_t len = 0; len < LIBVIRT_SAVE_HEAD_LEN; len += 13) {
        b.len = len;
        CHECK(decode(&b, &s, &err) == 0, "%zu bytes", len);
    }
    b.len = LIBVIRT_SAVE_HEAD_LEN + 1;
    b.data[3] = 'X';
    CHECK(decode(&b, &s, &err) == 0, "another magic");
    buf_done(&b);
}

static const struct name_case {
    const char *xml, *name; /* NULL: none */
} name_cases[] = {
    {"<domain type='kvm'><name>vm-1</name>", "vm-1"},
    {"<domain><!-- <name>no</name> --><name>yes</name></domain>", "yes"},
    {"<domain><name>a&amp;b &lt;c&gt; &quot;d&apos; &bogus;</name>", "a&b <c> \"d' &bogus;"},
    {"<domain><name>bell \a and line\n</name>", "bell ? and line?"},
    {"<domain><names>no</names></domain>", NULL},
    {"<domain><name></name></domain>", NULL},
    {"<domain><name>endless", NULL},
    {"<domain><!-- <name>in an open comment</name>", NULL},
    {"", NULL},
};

static void names(void **state)
{
    char name[LIBVIRT_SAVE_NAME_MAX], xml[600] = "<name>";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(name_cases); i++) {
        const struct name_case *c = &name_cases[i];
        bool found = libvirt_save_name(c->xml, name);

        CHECK(found == (c->name != NULL), "%s: %s", c->xml, found ? name : "no name");
        CHECK(!found || strcmp(name, c->name) == 0, "%s: '%s'", c->xml, name);
    }
    memset(xml + 6, 'n', 500);
    strcpy(xml + 506, "</name>");
    CHECK(!libvirt_save_name(xml, name), "a name of 500 bytes");
}

static void no_domain(void **state)
{
    static const char *const xmls[] = {"", "text", "<domain/>",
                                       "<network><name>n</name></network>"};
    struct buf out = {0};
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(xmls); i++) {
        char xml[64];

        strcpy(xml, xmls[i]);
        const struct libvirt_save s = {.xml = xml, .xml_len = strlen(xml)};
        check_refused(xmls[i], libvirt_save_encode(&s, &out, &err), &err, ERR_USAGE,
                      "not a domain's XML");
    }
    char held[] = "<domain><name>a</name>\0</domain>";
    const struct libvirt_save s = {.xml = held, .xml_len = sizeof(held) - 1};
    check_refused("a zero byte", libvirt_save_encode(&s, &out, &err), &err, ERR_USAGE,
                  "not a domain's XML");
    CHECK(out.len == 0, "something was written");
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_files),    cmocka_unit_test(other_byte_order),
        cmocka_unit_test(damaged_files), cmocka_unit_test(endless_text),
        cmocka_unit_test(other_files),   cmocka_unit_test(names),
        cmocka_unit_test(no_domain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
