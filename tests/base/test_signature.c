#include "base/signature.h"

#include "tests/support/test.h"

#define BYTES(text) text, sizeof(text) - 1

static const struct signature_case {
    const char *bytes;
    size_t len;
    const char *file, *peer; /* a part of the name; NULL: no signature is found */
} cases[] = {
    {BYTES("LibvirtQemudSave\2\0\0\0"), "this is a libvirt save file, from its", NULL},
    {BYTES("LibvirtQemudPart\2\0\0\0"), "not whole", NULL},
    {BYTES("LibvirtQemudPa\0\0"), NULL, NULL},
    {BYTES("\x1f\x8b\x08\0"), "gzip has packed", "gzip has packed"},
    {BYTES("\xfd\x37zXZ\0\0\4"), "xz has packed", "xz has packed"},
    {BYTES("\x28\xb5\x2f\xfd\4"), "zstd has packed", "zstd has packed"},
    {BYTES("QFI\xfb\0\0\0\3"), "qcow2", NULL},
    {BYTES("LUKS\xba\xbe\0\2"), "LUKS", NULL},
    {BYTES("\x7f\x45LF\2\1\1\0"), "ELF", NULL},
    {BYTES("\x11\x22\x33\x44\0\0\0\1"), "one multifd channel", NULL},
    {BYTES("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "text: 'GET / HTTP/1.1", "the peer speaks HTTP"},
    {BYTES("HTTP/1.1 400 Bad Request\r\n"), "text: 'HTTP/1.1 400", "the peer speaks HTTP"},
    {BYTES("SSH-2.0-OpenSSH_9.2p1\r\n"), "text: 'SSH-2.0", "SSH"},
    {BYTES("\x16\3\1\2\0\1\0\1\xfc\3\3"), NULL, "TLS: give TLS credentials"},
    {BYTES("\x15\3\3\0\2\2\x46"), NULL, "TLS: give TLS credentials"},
    {BYTES("\0\0\0\x1c\x20\0\x80\x86\0\0\0\1\0\0\0\x42"), NULL, "libvirt's RPC"},
    {BYTES("\0\0\0\x1ckeep\0\0\0\1"), NULL, "libvirt's RPC"},
    {BYTES("{\"QMP\": {\"version\": {}}}"), "JSON: '{\"QMP\"", "QMP: a monitor"},
    {BYTES("{\"jsonrpc\": \"2.0\"}\n"), "JSON: '{\"jsonrpc\"", "JSON: '{\"jsonrpc\""},
    {BYTES("\n <domain type='kvm'>\n"), "XML or HTML: '<domain type='kvm'>…'", "XML or HTML"},
    {BYTES("220 mail.example ESMTP\r\n"), "text: '220 mail.example ESMTP…'", "text: '220 mail"},
    {BYTES("\n\n\n\n\n"), "text: ''", "text: ''"},
    {BYTES("QEVN\0\0\0\3"), NULL, NULL},
    {BYTES("QEVN"), NULL, NULL},
    {BYTES("\0\0\0\0\0\0\0\0"), "zeros", NULL},
    {BYTES("\0\0\0\1"), NULL, NULL},
    {BYTES(""), NULL, NULL},
};

static void check(const struct signature_case *c, unsigned where, const char *want)
{
    char name[SIGNATURE_TEXT_LEN] = "untouched";
    bool known = signature_name(c->bytes, c->len, where, name);

    CHECK(known == (want != NULL), "%.16s, %u: found '%s'", c->bytes, where, name);
    CHECK(strstr(name, want ? want : "untouched"), "%.16s, %u: expected '%s' in '%s'", c->bytes,
          where, want, name);
}

static void names_what_it_knows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check(&cases[i], SIGNATURE_FILE, cases[i].file);
        check(&cases[i], SIGNATURE_PEER, cases[i].peer);
    }
}

/* Signatures that are not at the beginning are found if the bytes reach that far. */
static void looks_behind_the_beginning(void **state)
{
    char disk[SIGNATURE_LEN] = "\xeb\x63\x90", name[SIGNATURE_TEXT_LEN];

    (void)state;
    CHECK(!signature_name(disk, sizeof(disk), SIGNATURE_FILE, name), "no boot sector: %s", name);
    memcpy(disk + 510, "\x55\xaa", 2);
    CHECK(signature_name(disk, sizeof(disk), SIGNATURE_FILE, name), "a boot sector");
    assert_non_null(strstr(name, "boot sector"));
    CHECK(!signature_name(disk, sizeof(disk) - 1, SIGNATURE_FILE, name), "cut: %s", name);
    memcpy(disk + 257, "ustar", 5);
    CHECK(signature_name(disk, sizeof(disk), SIGNATURE_FILE, name), "a tar");
    assert_non_null(strstr(name, "tar has packed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_what_it_knows),
        cmocka_unit_test(looks_behind_the_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
