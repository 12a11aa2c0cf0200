#include "tls/psk_keys.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

#define FILE_MAX (256U << 10) /* bytes: people edit the file, it is not a database */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_key(const char *hex, size_t len, struct psk_key *ret, struct error *err)
{
    if (len == 0 || len % 2 || len / 2 > PSK_KEY_MAX)
        return err_set(err, ERR_USAGE,
                       "a key of %zu digits, expected two for each of 1 to %d bytes", len,
                       PSK_KEY_MAX);
    for (size_t i = 0; i < len / 2; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return err_set(err, ERR_USAGE, "the key is not hexadecimal");
        ret->key[i] = (uint8_t)(high << 4 | low);
    }
    ret->key_len = len / 2;
    return 0;
}

/* "user:hexkey"; the user may contain colons, the key cannot. */
static int parse_line(const char *line, size_t len, struct psk_key *ret, struct error *err)
{
    const char *colon = memrchr(line, ':', len);
    size_t user_len = colon ? (size_t)(colon - line) : 0;

    if (user_len == 0)
        return err_set(err, ERR_USAGE, "expected user:hexkey");
    if (user_len > PSK_USER_MAX || memchr(line, 0, user_len))
        return err_set(err, ERR_USAGE, "a user name of more than %d bytes, or with a zero byte",
                       PSK_USER_MAX);
    memcpy(ret->user, line, user_len);
    ret->user[user_len] = 0;
    return parse_key(colon + 1, len - user_len - 1, ret, err);
}

static int take_line(const char *line, size_t len, struct psk_keys *k, struct error *err)
{
    while (len > 0 && isspace((unsigned char)line[len - 1]))
        len--;
    if (len == 0 || line[0] == '#')
        return 0;
    return parse_line(line, len, &k->keys[k->n++], err);
}

static size_t count_lines(const char *bytes, size_t len)
{
    size_t n = 1;

    for (size_t i = 0; i < len; i++)
        n += bytes[i] == '\n';
    return n;
}

int psk_keys_parse(const char *name, const char *bytes, size_t len, struct psk_keys *ret,
                   struct error *err)
{
    /* Allocated once for all: growing it would leave keys in freed memory. */
    struct psk_keys k = {.keys = calloc(count_lines(bytes, len), sizeof(*k.keys))};
    unsigned number = 0;

    if (!k.keys)
        return err_sys(err, "memory for %s", name);
    for (size_t at = 0; at < len;) {
        const char *end = memchr(bytes + at, '\n', len - at);
        size_t line_len = end ? (size_t)(end - bytes) - at : len - at;

        number++;
        if (take_line(bytes + at, line_len, &k, err) < 0) {
            psk_keys_done(&k);
            return err_in(err, "%s:%u", name, number);
        }
        at += line_len + 1;
    }
    if (k.n == 0) {
        psk_keys_done(&k);
        return err_set(err, ERR_USAGE, "%s: holds no key, expected lines user:hexkey", name);
    }
    *ret = k;
    return 0;
}

static int read_file(int fd, const char *path, char *to, size_t *ret_len, struct error *err)
{
    size_t done = 0;
    ssize_t n;

    while ((n = read(fd, to + done, FILE_MAX + 1 - done)) > 0)
        done += (size_t)n;
    if (n < 0)
        return err_sys(err, "%s", path);
    if (done > FILE_MAX)
        return err_set(err, ERR_USAGE, "%s: longer than %u bytes", path, FILE_MAX);
    *ret_len = done;
    return 0;
}

int psk_keys_load(const char *path, struct psk_keys *ret, struct error *err)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;

    if (fd < 0)
        return err_sys(err, "%s", path);
    char *bytes = malloc(FILE_MAX + 1);
    if (!bytes)
        return err_sys(err, "memory for %s", path);
    int rc = read_file(fd, path, bytes, &len, err);
    if (rc == 0)
        rc = psk_keys_parse(path, bytes, len, ret, err);
    explicit_bzero(bytes, len);
    free(bytes);
    return rc;
}

const struct psk_key *psk_keys_find(const struct psk_keys *k, const char *user)
{
    for (size_t i = 0; i < k->n; i++) {
        if (strcmp(k->keys[i].user, user) == 0)
            return &k->keys[i];
    }
    return NULL;
}

void psk_keys_done(struct psk_keys *k)
{
    if (k->keys)
        explicit_bzero(k->keys, k->n * sizeof(*k->keys));
    free(k->keys);
    *k = (struct psk_keys){0};
}
