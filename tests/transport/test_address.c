#include "tests/support/test.h"
#include "transport/address.h"

#define LONG_HOST                                                                                  \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xx"                                                                                           \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xx"                                                                                           \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xx"

static const struct good_case {
    const char *text;
    struct address want;
} good_cases[] = {
    {"tcp:127.0.0.1:0", {.scheme = ADDRESS_TCP, .host = "127.0.0.1", .port = "0"}},
    {"tcp:host.example:65535", {.scheme = ADDRESS_TCP, .host = "host.example", .port = "65535"}},
    {"tcp::4444", {.scheme = ADDRESS_TCP, .host = "", .port = "4444"}},
    {"tcp:[::1]:4444", {.scheme = ADDRESS_TCP, .host = "::1", .port = "4444"}},
    {"tcp:[fec0::1]:1", {.scheme = ADDRESS_TCP, .host = "fec0::1", .port = "1"}},
    {"tcp:[fe80::1%eth0]:1", {.scheme = ADDRESS_TCP, .host = "fe80::1%eth0", .port = "1"}},
    {"tcp:[host]:1", {.scheme = ADDRESS_TCP, .host = "host", .port = "1"}},
    {"tcp:host:http", {.scheme = ADDRESS_TCP, .host = "host", .port = "http"}},
    {"unix:/run/a:b", {.scheme = ADDRESS_UNIX, .path = "/run/a:b"}},
    {"unix:x", {.scheme = ADDRESS_UNIX, .path = "x"}},
    {"vsock:3:4444", {.scheme = ADDRESS_VSOCK, .cid = 3, .vsock_port = 4444}},
    {"vsock:4294967295:0", {.scheme = ADDRESS_VSOCK, .cid = UINT32_MAX, .vsock_port = 0}},
    {"fd:0", {.scheme = ADDRESS_FD, .fd = 0}},
    {"fd:17", {.scheme = ADDRESS_FD, .fd = 17}},
    {"file:/a/b,c", {.scheme = ADDRESS_FILE, .file = "/a/b,c"}},
    {"file:x,offset=4096", {.scheme = ADDRESS_FILE, .file = "x", .offset = 4096}},
    {"file:x,offset=0x1234", {.scheme = ADDRESS_FILE, .file = "x", .offset = 0x1234}},
    {"file:x,offset=1M", {.scheme = ADDRESS_FILE, .file = "x", .offset = 1 << 20}},
};

static void takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good_cases); i++) {
        const struct good_case *c = &good_cases[i];
        struct address a;
        struct error err;

        OK(address_parse(c->text, &a, &err), err, c->text);
        CHECK(a.scheme == c->want.scheme, "%s: scheme %d", c->text, a.scheme);
        CHECK(strcmp(a.text, c->text) == 0, "%s: text '%s'", c->text, a.text);
        CHECK(strcmp(a.host, c->want.host) == 0, "%s: host '%s'", c->text, a.host);
        CHECK(strcmp(a.port, c->want.port) == 0, "%s: port '%s'", c->text, a.port);
        CHECK(strcmp(a.path, c->want.path) == 0, "%s: path '%s'", c->text, a.path);
        CHECK(strcmp(a.file, c->want.file) == 0, "%s: file '%s'", c->text, a.file);
        CHECK(a.offset == c->want.offset, "%s: offset %llu", c->text, (unsigned long long)a.offset);
        CHECK(a.cid == c->want.cid && a.vsock_port == c->want.vsock_port, "%s: vsock %u:%u",
              c->text, a.cid, a.vsock_port);
        CHECK(a.scheme != ADDRESS_FD || a.fd == c->want.fd, "%s: fd %d", c->text, a.fd);
    }
}

static const struct bad_case {
    const char *text, *expected;
} bad_cases[] = {
    {"", "expected tcp:HOST:PORT, unix:PATH"},
    {"tcp", "expected tcp:HOST:PORT, unix:PATH"},
    {"TCP:a:1", "expected tcp:HOST:PORT, unix:PATH"},
    {"127.0.0.1:4444", "expected tcp:HOST:PORT, unix:PATH"},
    {"rdma:host:1", "expected tcp:HOST:PORT, unix:PATH"},
    {"tcp:", "expected tcp:HOST:PORT, an IPv6 HOST in brackets"},
    {"tcp:host", "IPv6 HOST in brackets"},
    {"tcp:host:", "no port: expected tcp:HOST:PORT"},
    {"tcp:[::1]:", "no port"},
    {"tcp:::1:4444", "IPv6 HOST in brackets"},
    {"tcp:[::1]4444", "IPv6 HOST in brackets"},
    {"tcp:[::1:4444", "IPv6 HOST in brackets"},
    {"tcp:[::1]", "IPv6 HOST in brackets"},
    {"tcp:a:b:1", "IPv6 HOST in brackets"},
    {"tcp:host:65536", "port '65536': expected 0 to 65535, or the name of a service"},
    {"tcp:[::1]:65536", "port '65536'"},
    {"tcp::65536", "port '65536'"},
    {"tcp:host:99999999999999999999", "port '99999999999999999999'"},
    {"tcp:host:1x", "port '1x'"},
    {"tcp:host:4444,ipv4=on", "port '4444,ipv4=on'"},
    {"tcp:" LONG_HOST ":1", "HOST has"},
    {"tcp:h:" LONG_HOST, "port 'xxx"},
    {"tcp:[fe80::1]:4444", "fe80::1 is link-local: expected its zone, the interface that leads "
                           "there, as in [fe80::1%eth0]"},
    {"tcp:[FE80::ab%]:4444", "[FE80::ab%eth0]"},
    {"tcp:[febf::1]:0", "link-local"},
    {"unix:", "unix:PATH of at most 107 bytes"},
    {"unix:" LONG_HOST, "expected unix:PATH of at most 107 bytes"},
    {"vsock:", "vsock:CID:PORT"},
    {"vsock:3", "vsock:CID:PORT"},
    {"vsock:3:", "port '': expected a number"},
    {"vsock::1", "CID '': expected a number"},
    {"vsock:-1:1", "CID '-1'"},
    {"vsock:3:4294967296", "port '4294967296': expected a number, 0 to 4294967295, in vsock:"},
    {"vsock:3:1:2", "port '1:2'"},
    {"fd:", "fd:N"},
    {"fd:-1", "fd:N"},
    {"fd:+1", "fd:N"},
    {"fd: 1", "fd:N"},
    {"fd:1x", "fd:N"},
    {"fd:2147483648", "fd:N"},
    {"file:", "file:PATH"},
    {"file:,offset=1", "file:PATH"},
    {"file:x,offset=", "offset '': expected bytes as in file:PATH"},
    {"file:x,offset=-1", "offset '-1': expected bytes as in file:PATH"},
    {"file:x,offset=0x", "offset '0x': expected bytes as in file:PATH"},
    {"file:x,offset=0x1g", "offset '0x1g': expected bytes as in file:PATH"},
    {"file:x,offset=0x8000000000000000",
     "offset '0x8000000000000000': expected bytes as in file:PATH"},
    {"file:x,offset=1,offset=2", "offset '1,offset=2': expected bytes as in file:PATH"},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct address a = {.cid = 77}, before = a;
        struct error err;

        check_refused(c->text, address_parse(c->text, &a, &err), &err, ERR_USAGE, c->expected);
        CHECK(memcmp(&a, &before, sizeof(a)) == 0, "%s: the result was touched", c->text);
    }
}

/* Where only some forms are allowed, no other is accepted or suggested. */
static const struct some_case {
    const char *label, *text;
    unsigned set;
    const char *expected; /* NULL: it is accepted */
} some_cases[] = {
    {"a monitor's", "unix:x", ADDRESSES_SOCKETS, NULL},
    {"a file", "file:x", ADDRESSES_SOCKETS,
     "address 'file:x': expected tcp:HOST:PORT, unix:PATH or vsock:CID:PORT"},
    {"nothing", "x", ADDRESSES_SOCKETS, "expected tcp:HOST:PORT, unix:PATH or vsock:CID:PORT"},
    {"a descriptor", "fd:3", ADDRESSES_SOCKETS, "PATH or vsock:CID:PORT"},
    {"to dial", "fd:3", ADDRESSES_TO_DIAL, NULL},
    {"to dial, nothing", "x", ADDRESSES_TO_DIAL, "unix:PATH, vsock:CID:PORT or fd:N"},
    {"one", "tcp:h:1", ADDRESS_SET(ADDRESS_UNIX), "address 'tcp:h:1': expected unix:PATH"},
    {"all", "x", ADDRESSES_ALL, "fd:N or file:PATH[,offset=N]"},
    {"a bad port", "tcp:h:70000", ADDRESSES_SOCKETS, "address 'tcp:h:70000': port '70000'"},
};

static void takes_some(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(some_cases); i++) {
        const struct some_case *c = &some_cases[i];
        struct address a;
        struct error err;
        int rc = address_parse_of(c->text, c->set, &a, &err);

        if (!c->expected) {
            OK(rc, err, c->label);
            continue;
        }
        check_refused(c->label, rc, &err, ERR_USAGE, c->expected);
        CHECK(strcmp(err.text + strlen(err.text) - 1, ":") != 0, "%s: %s", c->label, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(takes), cmocka_unit_test(refuses),
                                       cmocka_unit_test(takes_some)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
