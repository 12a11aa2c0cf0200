/* A table of checksums, by itself and at the end of a file: found, read, and compared with what is
 * in front of it. */
#include <string.h>
#include <unistd.h>

#include "ram/checksum_scan.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/bytes_channel.h"

static void check_error(const struct error *err)
{
    PROMISE(err->text[0] && !strchr(err->text, '\n'));
}

/* What a table promises whose own checksum is true: a fuzzer would not find one that is. */
static void decode_sealed(const uint8_t *data, size_t len)
{
    struct buf bytes = {0};
    struct checksum_table t;
    struct error err;

    PROMISE(buf_append(&bytes, data, len, &err) == 0);
    if (len >= CHECKSUM_HEAD_LEN + CHECKSUM_END_LEN)
        checksum_bytes(bytes.data, len - CHECKSUM_END_LEN, bytes.data + len - CHECKSUM_END_LEN);
    if (checksum_table_decode(&bytes, &t, &err) < 0) {
        check_error(&err);
        return;
    }
    for (size_t i = 0; i < t.n_blocks; i++) {
        const struct checksum_block *b = &t.blocks[i];

        PROMISE(b->used_bytes <= t.stream_bytes &&
                b->pages_offset <= t.stream_bytes - b->used_bytes);
        PROMISE(checksum_part_lead(&t, i) <= CHECKSUM_LEAD_MAX);
        PROMISE(checksum_part_start(&t, i) + checksum_part_bytes(&t, i) <= b->pages_offset);
        PROMISE(b->pieces + checksum_n_pieces(b->used_bytes) * CHECKSUM_LEN <=
                t.bytes.data + t.bytes.len);
    }
    checksum_table_done(&t);
}

static void ignore(void *arg, const struct checksum_damage *d)
{
    (void)arg;
    (void)d;
}

static void scan(int fd, const struct checksums *c)
{
    struct checksum_scan_counts counts = {0};
    struct cancel cancel;
    struct error err;

    PROMISE(cancel_init(&cancel, &err) == 0);
    const struct checksum_scan_config config = {.fd = fd,
                                                .direct_fd = -1,
                                                .checksums = c,
                                                .n_threads = 1,
                                                .cancel = &cancel,
                                                .damaged = ignore};
    if (checksum_scan(&config, &counts, &err) < 0)
        check_error(&err);
    cancel_done(&cancel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct checksums c;
    struct error err;
    int fd = bytes_fd(data, len);

    decode_sealed(data, len);
    if (checksums_at_end(fd, len, &c, &err) < 0)
        check_error(&err);
    else if (c.found)
        scan(fd, &c);
    checksums_done(&c);
    if (checksums_after(fd, len, 0, 0, &c, &err) < 0)
        check_error(&err);
    checksums_done(&c);
    close(fd);
    return 0;
}
