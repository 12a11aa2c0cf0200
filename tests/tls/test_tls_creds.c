/* Credentials: which load, and the one-line error of those that do not. */
#include "tls/tls_creds.h"

#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "tests/support/certs.h"
#include "tests/support/test.h"
#include "tls/psk_keys.h"
#include "tls/tls_cert.h"

static struct authority *ours, *other;

static const char *dir_of(const char *name)
{
    static char path[PATH_MAX];

    return temp_path(path, name);
}

/* --- X.509 ------------------------------------------------------------------------------------ */

static const struct cert_spec good = {.dn = "O=x,CN=good", .san = "DNS:host"};
static const struct cert_spec expired = {.dn = "CN=old", .from_days = -9, .days = 2};
static const struct cert_spec future = {.dn = "CN=young", .from_days = 9, .days = 2};
static const struct cert_spec for_clients = {.dn = "CN=c", .usage = "clientAuth"};

static void install_all(const char *dir)
{
    authority_install(ours, dir);
    cert_install(ours, &good, dir, "server");
    cert_install(ours, &good, dir, "client");
}

static void remove_file(const char *dir, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK(unlink(path) == 0, "%s", path);
}

static void spoil(const char *dir, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file_write(path, "hello\n", 6);
}

static void do_nothing(const char *dir)
{
    (void)dir;
}

static void no_folder(const char *dir)
{
    remove_file(dir, "ca-cert.pem");
    remove_file(dir, "server-cert.pem");
    remove_file(dir, "server-key.pem");
    remove_file(dir, "client-cert.pem");
    remove_file(dir, "client-key.pem");
    rmdir(dir);
}

static void no_ca(const char *dir)
{
    remove_file(dir, "ca-cert.pem");
}

static void no_server_cert(const char *dir)
{
    remove_file(dir, "server-cert.pem");
}

static void no_server_key(const char *dir)
{
    remove_file(dir, "server-key.pem");
}

static void no_client_files(const char *dir)
{
    remove_file(dir, "client-cert.pem");
    remove_file(dir, "client-key.pem");
}

static void no_pem_ca(const char *dir)
{
    spoil(dir, "ca-cert.pem");
}

static void no_pem_cert(const char *dir)
{
    spoil(dir, "server-cert.pem");
}

static void no_pem_key(const char *dir)
{
    spoil(dir, "server-key.pem");
}

static void no_pem_crl(const char *dir)
{
    spoil(dir, "ca-crl.pem");
}

static void swapped_key(const char *dir)
{
    char from[PATH_MAX], to[PATH_MAX];

    snprintf(from, sizeof(from), "%s/client-key.pem", dir);
    snprintf(to, sizeof(to), "%s/server-key.pem", dir);
    CHECK(rename(from, to) == 0, "rename");
}

static void expired_cert(const char *dir)
{
    cert_install(ours, &expired, dir, "server");
}

static void future_cert(const char *dir)
{
    cert_install(ours, &future, dir, "server");
}

static void others_cert(const char *dir)
{
    cert_install(other, &good, dir, "server");
}

static void clients_cert(const char *dir)
{
    cert_install(ours, &for_clients, dir, "server");
}

static void no_authority(const char *dir)
{
    char from[PATH_MAX], to[PATH_MAX];

    snprintf(from, sizeof(from), "%s/client-cert.pem", dir);
    snprintf(to, sizeof(to), "%s/ca-cert.pem", dir);
    CHECK(rename(from, to) == 0, "rename");
}

static void others_crl(const char *dir)
{
    revocation_install(other, 1, dir);
}

static void revoked(const char *dir)
{
    revocation_install(ours, 1, dir);
}

static void harmless_crl(const char *dir)
{
    revocation_install(ours, 2, dir);
}

/* --- certificates that our chain does not use ------------------------------------------------ */

static const struct authority_spec idle[] = {
    {.common_name = "too old", .from_days = -9, .days = 2},
    {.common_name = "too young", .from_days = 9, .days = 2},
    {.common_name = "a leaf", .basic = "critical,CA:FALSE", .usage = "critical,digitalSignature"},
    {.common_name = "no signer", .usage = "critical,cRLSign"},
};

static void idle_authorities(const char *dir)
{
    authority_install(authority_make(&idle[0]), dir);
    for (size_t i = 1; i < ARRAY_LEN(idle); i++)
        authority_add(authority_make(&idle[i]), dir);
    authority_add(ours, dir);
}

/* An old certificate of the authority that still signs. */
static void renewed_authority(const char *dir)
{
    authority_install(authority_make(&(struct authority_spec){
                          .common_name = "our authority", .from_days = -9, .days = 2, .key = ours}),
                      dir);
    authority_add(ours, dir);
}

static void signed_by(const char *dir, const struct authority_spec *spec)
{
    struct authority *a = authority_make(spec);

    authority_add(a, dir);
    cert_install(a, &good, dir, "server");
}

static void by_old_authority(const char *dir)
{
    signed_by(dir, &idle[0]);
}

static void by_young_authority(const char *dir)
{
    signed_by(dir, &idle[1]);
}

static void by_leaf(const char *dir)
{
    signed_by(dir, &idle[2]);
}

static void by_no_signer(const char *dir)
{
    signed_by(dir, &idle[3]);
}

static void only_old_authority(const char *dir)
{
    authority_install(authority_make(&idle[0]), dir);
    no_client_files(dir);
}

static void others_crl_too(const char *dir)
{
    revocation_install(other, 1, dir);
    revocation_add(ours, 2, dir);
}

static void revoked_behind_others(const char *dir)
{
    revocation_install(other, 2, dir);
    revocation_add(ours, 1, dir);
}

/* An authority of the same name, but with another key. */
static void forged_crl_too(const char *dir)
{
    revocation_install(ours, 2, dir);
    revocation_add(authority_new("our authority"), 1, dir);
}

static void small_key(const char *dir)
{
    cert_install(ours, &(struct cert_spec){.dn = "CN=small", .rsa_bits = 512}, dir, "server");
}

/* The next certificate of the chain is weak, the one after it is not. */
static void weak_in_chain(const char *dir)
{
    cert_chain_add(
        authority_make(&(struct authority_spec){.common_name = "weak one", .rsa_bits = 512}), dir,
        "server");
    cert_chain_add(other, dir, "server");
}

static void weak_later_in_chain(const char *dir)
{
    cert_chain_add(other, dir, "server");
    weak_in_chain(dir);
}

static void encrypted_key(const char *dir)
{
    cert_install(ours, &(struct cert_spec){.dn = "CN=good", .encrypted = true}, dir, "server");
}

static const struct load_case {
    const char *label;
    void (*spoil)(const char *dir);
    bool server;
    enum err_kind kind;
    const char *refused[3]; /* parts of the text; none: it loads without a notice */
} load_cases[] = {
    {"by an old authority",
     by_old_authority,
     true,
     ERR_USAGE,
     {"server-cert.pem: the certificate (CN=too old) expired on 20", "signs this one's chain"}},
    {"by a young authority",
     by_young_authority,
     true,
     ERR_USAGE,
     {"(CN=too young) is not valid before 20"}},
    {"by a leaf",
     by_leaf,
     true,
     ERR_USAGE,
     {"(O=x,CN=good) is of no authority in", "ca-cert.pem: what is there by that name is none"}},
    {"by one that may not sign",
     by_no_signer,
     true,
     ERR_USAGE,
     {"(O=x,CN=good) is of no authority in", "what is there by that name is none"}},
    {"no authority that can be used",
     only_old_authority,
     false,
     ERR_USAGE,
     {"ca-cert.pem: the certificate (CN=too old) expired on 20"}},
    {"revoked in the second list",
     revoked_behind_others,
     true,
     ERR_USAGE,
     {"server-cert.pem", "is revoked by"}},
    {"a small key",
     small_key,
     true,
     ERR_USAGE,
     {"server-cert.pem: the certificate (CN=small) has a key that is too small", "RSA, 512 bits"}},
    {"a weak certificate second in the chain",
     weak_in_chain,
     true,
     ERR_USAGE,
     {"server-cert.pem: the certificate (CN=weak one) has a key that is too small",
      "RSA, 512 bits"}},
    {"a weak certificate third in the chain",
     weak_later_in_chain,
     true,
     ERR_USAGE,
     {"server-cert.pem: the certificate (CN=weak one) has a key that is too small"}},
    {"an encrypted key",
     encrypted_key,
     true,
     ERR_USAGE,
     {"server-key.pem: the key is encrypted", "openssl pkey"}},
    {"server", do_nothing, true, ERR_NONE, {NULL}},
    {"client", do_nothing, false, ERR_NONE, {NULL}},
    {"a client without a certificate", no_client_files, false, ERR_NONE, {NULL}},
    {"a client does not need the server's", no_server_cert, false, ERR_NONE, {NULL}},
    {"a list that revokes others", harmless_crl, true, ERR_NONE, {NULL}},
    {"no folder", no_folder, true, ERR_SYSTEM, {"ca-cert.pem", "No such file"}},
    {"no ca", no_ca, true, ERR_SYSTEM, {"ca-cert.pem", "No such file"}},
    {"no cert", no_server_cert, true, ERR_SYSTEM, {"server-cert.pem", "No such file"}},
    {"no key", no_server_key, true, ERR_SYSTEM, {"server-key.pem", "No such file"}},
    {"ca no pem", no_pem_ca, true, ERR_USAGE, {"ca-cert.pem: holds no certificate"}},
    {"cert no pem", no_pem_cert, true, ERR_USAGE, {"server-cert.pem: no certificate"}},
    {"key no pem", no_pem_key, true, ERR_USAGE, {"server-key.pem: no private key"}},
    {"crl no pem", no_pem_crl, true, ERR_USAGE, {"ca-crl.pem: holds no revocation list"}},
    {"another's key", swapped_key, true, ERR_USAGE, {"server-key.pem: is not the key of"}},
    {"expired", expired_cert, true, ERR_USAGE, {"server-cert.pem", "(CN=old) expired on 20"}},
    {"not yet",
     future_cert,
     true,
     ERR_USAGE,
     {"server-cert.pem", "(CN=young) is not valid before"}},
    {"unknown ca",
     others_cert,
     true,
     ERR_USAGE,
     {"server-cert.pem", "of no authority in", "ca-cert"}},
    {"usage", clients_cert, true, ERR_USAGE, {"server-cert.pem", "not meant for this side"}},
    {"ca is none", no_authority, true, ERR_USAGE, {"ca-cert.pem", "invalid CA"}},
    {"another's list", others_crl, true, ERR_USAGE, {"ca-crl.pem: the list is of no authority in"}},
    {"revoked", revoked, true, ERR_USAGE, {"server-cert.pem", "is revoked by", "ca-crl.pem"}},
};

static void loads_folders(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(load_cases); i++) {
        const struct load_case *c = &load_cases[i];
        struct tls_config config = {.server = c->server, .hostname = c->server ? NULL : "host"};
        struct tls_creds *creds = NULL;
        struct error err;
        char name[32];

        snprintf(name, sizeof(name), "load-%zu", i);
        config.dir = dir_of(name);
        install_all(config.dir);
        c->spoil(config.dir);
        int rc = tls_creds_new(&config, &creds, &err);
        if (c->kind == ERR_NONE)
            OK(rc, err, c->label);
        for (size_t part = 0; part < 3 && c->refused[part]; part++)
            check_refused(c->label, rc, &err, c->kind, c->refused[part]);
        if (rc == 0)
            CHECK(!tls_creds_notice(creds, 0), "%s: %s", c->label, tls_creds_notice(creds, 0));
        tls_creds_free(creds);
    }
}

static const struct idle_case {
    const char *label;
    void (*add)(const char *dir);
    bool server;
    const char *notices[5]; /* a part of each */
} idle_cases[] = {
    {"authorities, at a server",
     idle_authorities,
     true,
     {"ca-cert.pem: the certificate (CN=too old) expired on 20",
      "ca-cert.pem: the certificate (CN=too young) is not valid before 20",
      "ca-cert.pem: the certificate (CN=a leaf) is no authority",
      "ca-cert.pem: the certificate (CN=no signer) is no authority"}},
    {"authorities, at a client",
     idle_authorities,
     false,
     {"(CN=too old)", "(CN=too young)", "(CN=a leaf)", "(CN=no signer)"}},
    {"a renewed authority", renewed_authority, true, {"(CN=our authority) expired on 20"}},
    {"another's list", others_crl_too, true, {"ca-crl.pem: the list is of no authority in"}},
    {"a forged list", forged_crl_too, true, {"ca-crl.pem: the list's signature is not that of"}},
};

/* Certificates that our chain does not use do no harm, and a notice names them. */
static void loads_what_is_idle(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(idle_cases); i++) {
        const struct idle_case *c = &idle_cases[i];
        struct tls_config config = {.server = c->server, .hostname = c->server ? NULL : "host"};
        struct tls_creds *creds = NULL;
        struct error err;
        char name[32];

        snprintf(name, sizeof(name), "idle-%zu", i);
        config.dir = dir_of(name);
        install_all(config.dir);
        c->add(config.dir);
        OK(tls_creds_new(&config, &creds, &err), err, c->label);
        for (size_t n = 0; n < ARRAY_LEN(c->notices); n++) {
            const char *notice = tls_creds_notice(creds, n), *part = c->notices[n];

            CHECK(!notice == !part && (!part || strstr(notice, part)), "%s: notice %zu is '%s'",
                  c->label, n, notice ? notice : "none");
        }
        tls_creds_free(creds);
    }
}

static const struct config_case {
    const char *label;
    struct tls_config config;
    const char *refused;
} config_cases[] = {
    {"nothing", {.server = true}, "expected one of them"},
    {"both", {.server = true, .dir = "x", .psk_file = "y"}, "expected one of them"},
    {"authz of keys", {.server = true, .psk_file = "y", .authz = "CN=x"}, "names in certificates"},
    {"no host", {.dir = "x"}, "tls-hostname: needed"},
    {"empty host", {.dir = "x", .hostname = ""}, "tls-hostname: needed"},
};

static void refuses_what_cannot_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(config_cases); i++) {
        struct tls_creds *creds;
        struct error err;

        check_refused(config_cases[i].label, tls_creds_new(&config_cases[i].config, &creds, &err),
                      &err, ERR_USAGE, config_cases[i].refused);
    }
    tls_creds_free(NULL);
}

/* Expected: what gnutls_x509_crt_get_dn() of GnuTLS 3.7.9 prints of such certificates. */
static const struct dn_case {
    const char *made, *text;
} dn_cases[] = {
    {"C=GB,O=x,CN=client", "C=GB,O=x,CN=client"},
    {"CN=client,O=x", "CN=client,O=x"},
    {"O=Ünï \"q\",CN=h", "O=Ünï \\\"q\\\",CN=h"},
    {"L=#x,CN=a;b<c>d=e\\", "L=\\#x,CN=a\\;b\\<c\\>d=e\\\\"},
    {"emailAddress=a@b.c,DC=com,UID=u", "EMAIL=a@b.c,DC=com,UID=u"},
    {"SN=s,GN=g,title=t,street=st,serialNumber=7",
     "surName=s,givenName=g,title=t,street=st,serialNumber=7"},
};

static void prints_names_as_gnutls(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dn_cases); i++) {
        char path[PATH_MAX], dn[TLS_DN_MAX];

        cert_install(ours, &(struct cert_spec){.dn = dn_cases[i].made}, dir_of("dn"), "server");
        FILE *f = fopen(temp_path(path, "dn/server-cert.pem"), "re");
        X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
        CHECK(cert, "%s", path);
        fclose(f);
        CHECK(tls_cert_dn(cert, dn), "%s: cut", dn);
        CHECK(strcmp(dn, dn_cases[i].text) == 0, "%s, expected %s", dn, dn_cases[i].text);
        X509_free(cert);
    }
}

/* --- pre-shared keys -------------------------------------------------------------------------- */

#define HEX16  "00112233445566778899aabbccddeeff"
#define HEX64  HEX16 HEX16 HEX16 HEX16
#define HEX256 HEX64 HEX64 HEX64 HEX64
#define U32    "uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"
#define U128   U32 U32 U32 U32

static const struct psk_case {
    const char *label, *text;
    size_t n;            /* keys */
    const char *refused; /* NULL: it loads */
} psk_cases[] = {
    {"one", "qemu:" HEX16 "\n", 1, NULL},
    {"no newline", "qemu:" HEX16, 1, NULL},
    {"comments and blanks", "# a comment\n\nqemu:ab\r\n   \nother:CD\n#x:ab\n", 2, NULL},
    {"a colon in the name", "a:b:ab\n", 1, NULL},
    {"longest key", "qemu:" HEX256 "\n", 1, NULL},
    {"longest user", U128 ":ab\n", 1, NULL},
    {"empty", "", 0, "keys.psk: holds no key"},
    {"comments only", "# x\n\n", 0, "keys.psk: holds no key"},
    {"no colon", "qemu\n", 0, "keys.psk:1: expected user:hexkey"},
    {"no user", ":abcd\n", 0, "keys.psk:1: expected user:hexkey"},
    {"no key", "a:ab\nqemu:\n", 0, "keys.psk:2: a key of 0 digits"},
    {"odd", "qemu:abc\n", 0, "keys.psk:1: a key of 3 digits"},
    {"no hex", "qemu:abxy\n", 0, "keys.psk:1: the key is not hexadecimal"},
    {"key too long", "qemu:" HEX256 "00\n", 0, "a key of 514 digits"},
    {"user too long", U128 "u:ab\n", 0, "a user name of more than 128 bytes"},
};

static void parses_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(psk_cases); i++) {
        const struct psk_case *c = &psk_cases[i];
        struct psk_keys keys = {0};
        struct error err;
        int rc = psk_keys_parse("keys.psk", c->text, strlen(c->text), &keys, &err);

        if (c->refused)
            check_refused(c->label, rc, &err, ERR_USAGE, c->refused);
        else
            OK(rc, err, c->label);
        CHECK(keys.n == c->n, "%s: %zu keys", c->label, keys.n);
        psk_keys_done(&keys);
    }
}

static void finds_keys(void **state)
{
    static const char text[] = "a:01\nqemu:00ffA0\n";
    struct psk_keys keys;
    struct error err;

    (void)state;
    OK(psk_keys_parse("x", text, sizeof(text) - 1, &keys, &err), err, "parse");
    const struct psk_key *k = psk_keys_find(&keys, "qemu");
    CHECK(k && k->key_len == 3 && memcmp(k->key, "\x00\xff\xa0", 3) == 0, "the key");
    CHECK(!psk_keys_find(&keys, "qem") && !psk_keys_find(&keys, ""), "nobody's key");
    psk_keys_done(&keys);
    check_refused("a zero byte", psk_keys_parse("x", "a\0b:01", 6, &keys, &err), &err, ERR_USAGE,
                  "zero byte");
}

static void loads_key_files(void **state)
{
    static char long_file[300 << 10];
    char path[PATH_MAX];
    struct tls_config client = {.psk_file = temp_path(path, "keys.psk")};
    struct tls_creds *creds;
    struct error err;

    (void)state;
    check_refused("no file", tls_creds_new(&client, &creds, &err), &err, ERR_SYSTEM,
                  "No such file");
    file_write(path, "alice:abcd\n", 11);
    check_refused("no user qemu", tls_creds_new(&client, &creds, &err), &err, ERR_USAGE,
                  "has no key of user 'qemu'");
    client.username = "alice";
    OK(tls_creds_new(&client, &creds, &err), err, "alice");
    tls_creds_free(creds);
    memset(long_file, '\n', sizeof(long_file));
    file_write(path, long_file, sizeof(long_file));
    check_refused("too long", tls_creds_new(&client, &creds, &err), &err, ERR_USAGE, "longer than");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_folders),
        cmocka_unit_test(loads_what_is_idle),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(prints_names_as_gnutls),
        cmocka_unit_test(parses_keys),
        cmocka_unit_test(finds_keys),
        cmocka_unit_test(loads_key_files),
    };

    ours = authority_new("our authority");
    other = authority_new("another authority");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
