/* A plain stream in a file: its pages in memory, or only counted. */
#include "capture/plain_pages.h"

#include <stdio.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "capture/machine_snapshot.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

/* Both are in tests/golden/v11-main/about.json and README.md. */
#define PLAIN_SHA256 "28aa1e5b36ecd7134d6ccc4f2d4b5f842fa2273aeaa9d972578713d301b164e1"
#define PLAIN_PAGES  40

static int open_plain(const char *path, enum snapshot_pages pages, struct machine **ret,
                      struct error *err)
{
    char text[PATH_MAX + 8];
    struct address from;

    snprintf(text, sizeof(text), "file:%s", path);
    return address_parse(text, &from, err) < 0 ? -1 : machine_snapshot_file(&from, pages, ret, err);
}

static void check_sha256(const struct ram_block *b)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH + 1];

    SHA256(b->host, b->used_bytes, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    CHECK(strcmp(text, PLAIN_SHA256) == 0, "RAM's SHA-256: %s", text);
}

static uint64_t present_pages(const struct ram_block *b)
{
    uint64_t n = 0;

    for (uint64_t page = 0; page < ram_block_pages(b); page++)
        n += ram_page_present(b, page);
    return n;
}

static void check_block(struct machine *m, enum snapshot_pages pages)
{
    struct ram_block *ram = ram_map_find(&m->ram, "m");
    struct error err;
    uint8_t byte;

    CHECK(ram && present_pages(ram) == PLAIN_PAGES, "another number of pages");
    CHECK(!ram->host == (pages == PAGES_COUNTED), "memory");
    if (ram->host)
        check_sha256(ram);
    else
        check_refused("read", ram->store->read(ram, 0, &byte, 1, &err), &err, ERR_USAGE,
                      "were only counted");
}

static void qemu_stream(void **state)
{
    struct buf b = golden("v11-main/c0.fwd");
    struct error err;
    char path[PATH_MAX];

    (void)state;
    file_write(temp_path(path, "plain"), b.data, b.len);
    for (int pages = PAGES_COUNTED; pages <= PAGES_LOADED; pages++) {
        struct machine *m;

        OK(open_plain(path, (enum snapshot_pages)pages, &m, &err), err, "plain");
        check_block(m, (enum snapshot_pages)pages);
        machine_free(m);
    }
    buf_done(&b);
    unlink(path);
}

static void cut_streams(void **state)
{
    struct buf b = golden("v11-main/c0.fwd");
    struct machine *m;
    struct error err;
    char path[PATH_MAX];

    (void)state;
    temp_path(path, "cut");
    for (size_t len = 0; len < b.len; len += b.len / 50) {
        file_write(path, b.data, len);
        check_refused("cut", open_plain(path, PAGES_LOADED, &m, &err), &err, ERR_PEER, "");
    }
    buf_done(&b);
    unlink(path);
}

/* A stream that says it has more memory than there is. */
static void too_large(void **state)
{
    struct ram_map map = {0};
    struct error err;

    (void)state;
    OK(ram_map_add(&map, "pc.ram", RAM_BLOCK_MAX, &err), err, "add");
    check_refused("64 TiB", plain_pages_place(&map, PAGES_LOADED, &err), &err, ERR_USAGE,
                  "a plain stream has to be loaded: 64 TiB of memory");
    CHECK(says(&err, "ramjet convert to file:PATH"), "no remedy: %s", err.text);
    CHECK(!map.blocks[0].host, "it was mapped");
    ram_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qemu_stream),
        cmocka_unit_test(cut_streams),
        cmocka_unit_test(too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
