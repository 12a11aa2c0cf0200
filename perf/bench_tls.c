/*
 * perf/bench_tls.c: how fast a TLS channel moves packets of pages, compared with its parts: the
 * socket alone, and AES-GCM alone in TLS-sized records, one thread that encrypts and one that
 * decrypts. A TLS channel does both on the same bytes one after the other, so the two times add up
 * to the least that it could take.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/fd.h"
#include "perf/bench_streams.h"
#include "tls/tls_channel.h"
#include "transport/engine.h"

#define RECORD    16384 /* bytes: the most that a record may hold */
#define TAG_BYTES 16
#define IV_BYTES  12

struct work {
    struct streams streams;
    struct tls_creds *client, *server;
    struct channel_security info;
};

/* --- the socket alone ------------------------------------------------------------------------- */

static struct bench_time socket_alone(const struct bench_row *row, void *work)
{
    int fds[2];

    (void)row;
    streams_connect("tcp:127.0.0.1:0", fds);
    AUTO_FD int out = fds[0], in = fds[1];
    return streams_run(&((struct work *)work)->streams, 0, streams_raw_send, &out,
                       streams_raw_receive, &in);
}

/* --- AES-GCM alone ---------------------------------------------------------------------------- */

static const uint8_t key[32] = {1, 2, 3};

struct record {
    uint8_t iv[IV_BYTES], bytes[RECORD], tag[TAG_BYTES];
};

static void crypto(int ok)
{
    if (ok != 1)
        errx(1, "AES-GCM fails");
}

/* With the key size that the TLS channels have agreed on. */
static const EVP_CIPHER *cipher(const struct work *w)
{
    if (!strstr(w->info.cipher, "GCM"))
        errx(1, "%s is not AES-GCM", w->info.cipher);
    return strstr(w->info.cipher, "256") ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
}

static EVP_CIPHER_CTX *crypto_new(const struct work *w, int encrypt)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

    crypto(EVP_CipherInit_ex(c, cipher(w), NULL, key, NULL, encrypt));
    return c;
}

static void encrypt_record(EVP_CIPHER_CTX *c, const uint8_t *from, struct record *to)
{
    int len;

    crypto(EVP_CipherInit_ex(c, NULL, NULL, NULL, to->iv, 1));
    crypto(EVP_EncryptUpdate(c, to->bytes, &len, from, RECORD));
    crypto(EVP_EncryptFinal_ex(c, to->bytes + len, &len));
    crypto(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, to->tag));
}

static void decrypt_record(EVP_CIPHER_CTX *c, struct record *from, uint8_t *to)
{
    int len;

    crypto(EVP_CipherInit_ex(c, NULL, NULL, NULL, from->iv, 0));
    crypto(EVP_DecryptUpdate(c, to, &len, from->bytes, RECORD));
    crypto(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, from->tag));
    crypto(EVP_DecryptFinal_ex(c, to + len, &len));
}

static void encrypt_all(const struct work *w)
{
    EVP_CIPHER_CTX *c = crypto_new(w, 1);
    struct record r = {0};

    for (size_t at = 0; at < w->streams.bytes; at += RECORD) {
        memcpy(r.iv, &at, sizeof(at));
        encrypt_record(c, w->streams.from + at, &r);
    }
    EVP_CIPHER_CTX_free(c);
}

/* Decrypts one record again and again: freshly received bytes are in the cache, too. */
static void *decrypt_all(void *arg)
{
    const struct work *w = arg;
    EVP_CIPHER_CTX *out = crypto_new(w, 1), *in = crypto_new(w, 0);
    struct record r = {0};

    encrypt_record(out, w->streams.from, &r);
    for (size_t at = 0; at < w->streams.bytes; at += RECORD)
        decrypt_record(in, &r, w->streams.to + at);
    EVP_CIPHER_CTX_free(out);
    EVP_CIPHER_CTX_free(in);
    return NULL;
}

static struct bench_time aes_alone(const struct bench_row *row, void *work)
{
    struct bench_time t = bench_now();
    pthread_t thread;

    (void)row;
    errno = pthread_create(&thread, NULL, decrypt_all, work);
    if (errno)
        err(1, "thread");
    encrypt_all(work);
    pthread_join(thread, NULL);
    return bench_since(t);
}

/* --- TLS -------------------------------------------------------------------------------------- */

struct end {
    int fd;
    const struct tls_creds *creds;
    struct channel *channel;
};

static void *shake_hands(void *arg)
{
    struct engine_config config = {.stall_timeout_ms = 20000};
    const struct engine *engine;
    struct channel *below;
    struct end *e = arg;
    struct error error;

    bench_must(engine_find("socket", &engine, &error), &error);
    bench_must(engine->open(e->fd, &config, &below, &error), &error);
    bench_must(tls_channel_new(below, e->creds, deadline_in_ms(20000), &e->channel, &error),
               &error);
    return NULL;
}

static void connect_tls(const struct work *w, struct end *client, struct end *server)
{
    pthread_t thread;
    int fds[2];

    streams_connect("tcp:127.0.0.1:0", fds);
    *client = (struct end){fds[0], w->client, NULL};
    *server = (struct end){fds[1], w->server, NULL};
    errno = pthread_create(&thread, NULL, shake_hands, server);
    if (errno)
        err(1, "thread");
    shake_hands(client);
    pthread_join(thread, NULL);
}

static struct bench_time by_tls(const struct bench_row *row, void *work)
{
    struct end client, server;
    struct work *w = work;

    connect_tls(w, &client, &server);
    struct bench_time t = streams_run(&w->streams, *(const unsigned *)row->what, streams_send,
                                      client.channel, streams_receive, server.channel);
    channel_free(client.channel);
    channel_free(server.channel);
    return t;
}

/* Loads a key from a file that is removed after it was read. */
static void load_keys(struct work *w)
{
    static const char line[] = "qemu:00112233445566778899aabbccddeeff\n";
    char path[] = "/tmp/bench-tls-XXXXXX";
    AUTO_FD int fd = mkstemp(path);
    struct error e;

    if (fd < 0 || write(fd, line, sizeof(line) - 1) != (ssize_t)sizeof(line) - 1)
        err(1, "%s", path);
    struct tls_config config = {.psk_file = path};
    int rc = tls_creds_new(&config, &w->client, &e);
    config.server = true;
    if (rc == 0)
        rc = tls_creds_new(&config, &w->server, &e);
    unlink(path);
    bench_must(rc, &e);
}

/* Finds the cipher that the two ends agree on, which is then measured alone. */
static void look_at_tls(struct work *w)
{
    struct end client, server;

    connect_tls(w, &client, &server);
    w->info = channel_security(client.channel);
    channel_free(client.channel);
    channel_free(server.channel);
}

static const unsigned together = 0, runs = 2;

#define LIMITS                                                                                     \
    {                                                                                              \
        "socket alone", "AES-GCM alone"                                                            \
    }

static const struct bench_row rows[] = {
    {"socket alone", socket_alone, NULL, {NULL}, 0},
    {"AES-GCM alone", aes_alone, NULL, {NULL}, 0},
    {"tls", by_tls, &together, LIMITS, 0.7},
    {"tls, in runs of 2 pages", by_tls, &runs, LIMITS, 0.7},
};

static const char usage[] = "usage: bench_tls [--quick] [--reps N] [--json]\n";

int main(int argc, char **argv)
{
    struct bench_options o = bench_options(argc, argv, usage, 9, 1);
    struct work w = {0};
    char note[200];

    if (o.argument)
        errx(2, "%s", usage);
    load_keys(&w);
    look_at_tls(&w);
    bench_warm((size_t)(o.quick ? 64 : 2048) << 20);
    w.streams = streams_new(o.quick ? 16 << 20 : 512 << 20);
    snprintf(note, sizeof(note), "%s, %s, %s, encrypted by %s.", tls_library(), w.info.version,
             w.info.cipher, w.info.by_kernel ? "the kernel" : "the library");
    const struct bench b = {
        .title = "tls: packets of 128 pages, one connection over loopback, a thread at each end",
        .rows = rows,
        .n_rows = ARRAY_LEN(rows),
        .work = &w,
        .bytes = w.streams.bytes,
        .note = note,
    };
    bench_run(&b, &o);
    tls_creds_free(w.client);
    tls_creds_free(w.server);
    return 0;
}
