#include "stream/configuration.h"

#include <string.h>

#include "base/bytes.h"
#include "base/signature.h"
#include "stream/stream_format.h"

#define MAGIC_LEN 4

static const struct {
    uint32_t bit;
    const char *name;
} capabilities[] = {
    {STREAM_CAP_X_IGNORE_SHARED, "x-ignore-shared"},
    {STREAM_CAP_MAPPED_RAM, "mapped-ram"},
};

static void subsection_out(struct stream_out *out, const char *name)
{
    out_u8(out, STREAM_SUBSECTION);
    out_name(out, name);
    out_u32(out, 1);
}

static void capabilities_out(struct stream_out *out, uint32_t set)
{
    subsection_out(out, "configuration/capabilities");
    out_u32(out, (uint32_t)__builtin_popcount(set));
    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
        if (set & capabilities[i].bit)
            out_name(out, capabilities[i].name);
    }
}

void configuration_out(struct stream_out *out, const struct configuration *c)
{
    out_u32(out, STREAM_MAGIC);
    out_u32(out, STREAM_VERSION);
    out_u8(out, STREAM_CONFIGURATION);
    out_u32(out, (uint32_t)strlen(c->machine));
    out_bytes(out, c->machine, strlen(c->machine));
    if (c->page_bits) {
        subsection_out(out, "configuration/target-page-bits");
        out_u32(out, c->page_bits);
    }
    if (c->capabilities)
        capabilities_out(out, c->capabilities);
    if (c->has_uuid) {
        subsection_out(out, "configuration/uuid");
        out_bytes(out, c->uuid.bytes, UUID_LEN);
    }
}

/* The stream is a file: on a connection the magic is checked before this code reads it. */
static void not_a_stream(struct stream_in *in, const uint8_t *head, size_t len)
{
    struct reader r = reader_of(head, len);
    char name[SIGNATURE_TEXT_LEN];

    if (signature_name(head, len, SIGNATURE_FILE, name))
        stream_in_fail_with(in, signature_remedy(head, len, SIGNATURE_FILE),
                            "expected a migration stream, %s", name);
    else
        stream_in_fail(in, "stream magic: found 0x%08x, expected 0x%08x", get_u32(&r),
                       STREAM_MAGIC);
}

static bool is_magic(const uint8_t *head)
{
    struct reader r = reader_of(head, MAGIC_LEN);

    return get_u32(&r) == STREAM_MAGIC;
}

static void header_in(struct stream_in *in)
{
    size_t len;

    if (!stream_in_wait(in))
        stream_in_fail(in, "expected a migration stream, there is not a single byte");
    const uint8_t *head = stream_in_peek(in, MAGIC_LEN, &len);
    if (head && !is_magic(head))
        not_a_stream(in, head, len);
    in_u32(in);
    uint32_t version = in_u32(in);
    if (version != STREAM_VERSION)
        stream_in_fail(in, "stream version: found %u, expected %u%s", version, STREAM_VERSION,
                       version == STREAM_VERSION_OLD ? " (2 is obsolete)" : "");
}

static void machine_in(struct stream_in *in, char ret[static MACHINE_NAME_MAX + 1])
{
    uint8_t type = in_u8(in);
    uint32_t len = in_u32(in);

    if (type != STREAM_CONFIGURATION)
        stream_in_fail(in, "found element 0x%02x, expected the configuration 0x%02x", type,
                       STREAM_CONFIGURATION);
    if (len == 0 || len > MACHINE_NAME_MAX) {
        stream_in_fail(in, "machine type: length %u, expected 1 to %d", len, MACHINE_NAME_MAX);
        len = 0;
    }
    in_bytes(in, ret, len);
    ret[in->failed ? 0 : len] = 0;
    for (size_t i = 0; i < len && !in->failed; i++) {
        if (ret[i] <= 0x20 || ret[i] > 0x7e)
            stream_in_fail(in, "machine type: holds byte 0x%02x, expected a printable name",
                           (unsigned char)ret[i]);
    }
}

static void page_bits_in(struct stream_in *in, struct configuration *c)
{
    c->page_bits = in_u32(in);
    if (c->page_bits != 12)
        stream_in_fail(in, "target page bits: found %u, expected 12", c->page_bits);
}

static void capabilities_in(struct stream_in *in, struct configuration *c)
{
    uint32_t count = in_u32(in);

    if (count > ARRAY_LEN(capabilities))
        stream_in_fail(in, "configuration/capabilities: %u of them, expected at most %zu", count,
                       ARRAY_LEN(capabilities));
    for (uint32_t i = 0; i < count && !in->failed; i++) {
        char name[256];
        uint32_t bit = 0;

        in_name(in, name);
        for (size_t k = 0; k < ARRAY_LEN(capabilities); k++)
            bit |= strcmp(name, capabilities[k].name) == 0 ? capabilities[k].bit : 0;
        if (!bit)
            stream_in_fail(in,
                           "configuration/capabilities: '%s', expected x-ignore-shared or "
                           "mapped-ram",
                           name);
        c->capabilities |= bit;
    }
}

static void uuid_in(struct stream_in *in, struct configuration *c)
{
    in_bytes(in, c->uuid.bytes, UUID_LEN);
    c->has_uuid = true;
}

static const struct {
    const char *name;
    void (*read)(struct stream_in *in, struct configuration *c);
} subsections[] = {
    {"configuration/target-page-bits", page_bits_in},
    {"configuration/capabilities", capabilities_in},
    {"configuration/uuid", uuid_in},
};

static void subsection_in(struct stream_in *in, struct configuration *c)
{
    char name[256];

    in_u8(in);
    in_name(in, name);
    uint32_t version = in_u32(in);
    for (size_t i = 0; i < ARRAY_LEN(subsections); i++) {
        if (strcmp(name, subsections[i].name) != 0)
            continue;
        if (version != 1)
            stream_in_fail(in, "%s: version %u, expected 1", name, version);
        subsections[i].read(in, c);
        return;
    }
    stream_in_fail(in, "subsection '%s': not one that a configuration has", name);
}

void configuration_in(struct stream_in *in, struct configuration *ret)
{
    *ret = (struct configuration){0};
    header_in(in);
    machine_in(in, ret->machine);
    while (!in->failed && stream_in_wait(in)) {
        size_t len;
        const uint8_t *next = stream_in_peek(in, 1, &len);

        if (!next || *next != STREAM_SUBSECTION)
            break;
        subsection_in(in, ret);
    }
}

int configuration_expect(const struct configuration *c, uint32_t expected, uint32_t open,
                         struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
        bool on = c->capabilities & capabilities[i].bit;

        if (!(open & capabilities[i].bit) && on != !!(expected & capabilities[i].bit))
            return err_set(
                err, ERR_PEER,
                "configuration/capabilities: %s is %s at the source, expected %s: set it "
                "alike at both ends",
                capabilities[i].name, on ? "on" : "off", on ? "off" : "on");
    }
    return 0;
}
