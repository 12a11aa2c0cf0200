/* What a recv_pool accepts from an unusual source, and what it refuses. */
#include "multifd/recv_pool.h"

#include <pthread.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/memory.h"
#include "tests/support/test.h"

#define PAGES        64
#define CHANNELS_MAX 4
#define ANY_METHOD   (-1)

static struct world {
    struct channel_group group;
    struct ram_map map;
    struct recv_pool *pool;
    int peers[CHANNELS_MAX]; /* the source's ends */
    pthread_t threads[CHANNELS_MAX];
    struct recv_channel *channels[CHANNELS_MAX];
    size_t n;
} w;

/* With times of 0 it waits without limit, as it must where all is well. */
static void start_with(int method, unsigned n_expected, uint64_t join_ms, uint64_t stall_ms)
{
    struct recv_pool_config config = {.group = &w.group,
                                      .n_expected = n_expected,
                                      .method = method,
                                      .join_timeout_ms = join_ms,
                                      .stall_timeout_ms = stall_ms};
    struct error err;

    w = (struct world){0};
    OK(channel_group_init(&w.group, 0, &err), err, "group");
    OK(recv_pool_new(&config, &w.pool, &err), err, "pool");
    memory_add(&w.map, "m", PAGES, true);
    recv_pool_open(w.pool, &w.map, NULL);
}

static void start(void)
{
    start_with(ANY_METHOD, 0, 0, 0);
}

static void *serve(void *arg)
{
    recv_pool_serve(w.pool, arg);
    return NULL;
}

static int join(uint8_t id, struct uuid uuid, struct error *err)
{
    struct multifd_hello hello = {.uuid = uuid, .id = id};
    struct channel *c = channel_and_fd(0, &w.peers[w.n]);

    c->local = false; /* so that joining and flushing have their own time limits */
    OK(channel_group_add(&w.group, c, err), *err, "add");
    if (recv_pool_join(w.pool, c, &hello, &w.channels[w.n], err) < 0) {
        close(w.peers[w.n]);
        return -1;
    }
    pthread_create(&w.threads[w.n], NULL, serve, w.channels[w.n]);
    w.n++;
    return 0;
}

static void join_all(size_t n)
{
    struct error err;

    for (size_t i = 0; i < n; i++)
        OK(join((uint8_t)i, (struct uuid){{9}}, &err), err, "join");
}

static void finish(void)
{
    for (size_t i = 0; i < w.n; i++) {
        if (w.peers[i] >= 0)
            close(w.peers[i]);
        pthread_join(w.threads[i], NULL);
    }
    recv_pool_free(w.pool);
    ram_map_done(&w.map);
    channel_group_done(&w.group);
}

static void hang_up(size_t i)
{
    close(w.peers[i]);
    w.peers[i] = -1;
}

/* Ends in the failure that the channel's thread found. */
static void finish_failed(const char *label, enum err_kind kind, const char *refused)
{
    struct error err;

    for (size_t i = 0; i < w.n; i++)
        pthread_join(w.threads[i], NULL);
    check_refused(label, channel_group_check(&w.group, &err), &err, kind, refused);
    check_refused(label, recv_pool_flush(w.pool, &err), &err, kind, refused);
    CHECK(recv_pool_finish(w.pool, &err) < 0, "%s: it ended well", label);
    for (size_t i = 0; i < w.n; i++) {
        if (w.peers[i] >= 0)
            close(w.peers[i]);
    }
    recv_pool_free(w.pool);
    ram_map_done(&w.map);
    channel_group_done(&w.group);
}

/* --- the source ------------------------------------------------------------------------------ */

/* One packet of pages first, first + 1, … : normal ones full of `fill`, then zero ones. */
struct wire {
    uint8_t bytes[MULTIFD_PACKET_LEN + 4 * RAM_PAGE_SIZE];
    size_t len;
};

static struct wire packet(bool sync, unsigned n_normal, unsigned n_zero, uint64_t first, int fill)
{
    struct multifd_packet p = {.sync = sync,
                               .n_normal = n_normal,
                               .n_zero = n_zero,
                               .payload_bytes = n_normal * RAM_PAGE_SIZE,
                               .block = "m"};
    struct wire wire = {.len = MULTIFD_PACKET_LEN + n_normal * RAM_PAGE_SIZE};

    for (unsigned i = 0; i < n_normal + n_zero; i++)
        p.offsets[i] = (first + i) << RAM_PAGE_BITS;
    multifd_packet_encode(&p, wire.bytes);
    memset(wire.bytes + MULTIFD_PACKET_LEN, fill, n_normal * RAM_PAGE_SIZE);
    return wire;
}

static void put(struct wire *wire, size_t at, uint64_t value, size_t len)
{
    struct writer out = writer_of(wire->bytes + at, len);

    put_be(&out, value, len);
}

static void send_wire(size_t channel, const struct wire *wire)
{
    CHECK(write(w.peers[channel], wire->bytes, wire->len) == (ssize_t)wire->len, "write");
}

static void send_packet(size_t channel, bool sync, unsigned n_normal, unsigned n_zero,
                        uint64_t first, int fill)
{
    struct wire wire = packet(sync, n_normal, n_zero, first, fill);

    send_wire(channel, &wire);
}

static void flush(const char *label)
{
    struct error err;

    OK(recv_pool_flush(w.pool, &err), err, label);
}

static void check_page(const char *label, uint64_t page, int want)
{
    const uint8_t *at = w.map.blocks[0].host + (page << RAM_PAGE_BITS);

    CHECK(at[0] == want && at[RAM_PAGE_SIZE - 1] == want, "%s: page %llu holds 0x%02x, not 0x%02x",
          label, (unsigned long long)page, at[0], want);
}

/* --- unusual but allowed --------------------------------------------------------------------- */

static void sync_may_carry_pages(void **state)
{
    struct error err;

    (void)state;
    start();
    join_all(2);
    send_packet(0, false, 2, 0, 0, 0x11);
    send_packet(0, true, 2, 1, 2, 0x22);
    send_packet(0, false, 0, 0, 0, 0); /* the empty packet has no SYNC after it */
    send_packet(1, true, 0, 0, 0, 0);
    flush("first");
    check_page("before SYNC", 0, 0x11);
    check_page("in SYNC", 3, 0x22);
    send_packet(0, true, 1, 0, 0, 0x33);
    send_packet(1, true, 0, 1, 3, 0);
    flush("second");
    check_page("overwritten", 0, 0x33);
    check_page("zeroed", 3, 0);
    OK(recv_pool_finish(w.pool, &err), err, "finish");
    finish();
}

/* A newer copy on one channel is never overwritten by an older one on another channel. */
static void sync_holds_back(void **state)
{
    struct error err;

    (void)state;
    start();
    join_all(2);
    for (int round = 1; round <= 100; round++) {
        send_packet(round % 2, false, 1, 0, 5, round);
        send_packet(0, true, 0, 0, 0, 0);
        send_packet(1, true, 0, 0, 0, 0);
        /* The next round arrives before this one's flush. */
        send_packet((round + 1) % 2, false, 1, 0, 5, round + 1);
        flush("round");
        send_packet(0, true, 0, 0, 0, 0);
        send_packet(1, true, 0, 0, 0, 0);
        flush("next");
        check_page("the newest", 5, round + 1);
    }
    OK(recv_pool_finish(w.pool, &err), err, "finish");
    finish();
}

static const struct odd_case {
    const char *label;
    size_t at;
    uint64_t value;
    size_t len;
} odd_cases[] = {
    {"stale size", 20, 524288, 4},
    {"size of the world", 20, UINT32_MAX, 4},
    {"capacity 0", 12, 0, 4},
    {"capacity 128", 12, 128, 4},
    {"method bits", 8, 0x03, 4},
    {"undefined bits", 8, 0x80000081, 4},
    {"stale name", 64, 0x78787878, 4},
    {"stale offset", 320, UINT64_MAX, 8},
    {"reserved bits", 40, UINT64_MAX, 8},
    {"any number", 24, UINT64_MAX, 8},
};

static void empty_sync_may_hold_leftovers(void **state)
{
    struct error err;

    (void)state;
    start();
    join_all(1);
    for (size_t i = 0; i < ARRAY_LEN(odd_cases); i++) {
        struct wire wire = packet(true, 0, 0, 0, 0);

        put(&wire, odd_cases[i].at, odd_cases[i].value, odd_cases[i].len);
        send_wire(0, &wire);
        flush(odd_cases[i].label);
    }
    OK(recv_pool_finish(w.pool, &err), err, "finish");
    finish();
}

static void wrong_size_means_nothing_without_a_method(void **state)
{
    struct wire wire = packet(false, 2, 0, 7, 0x44);
    struct error err;

    (void)state;
    start();
    join_all(1);
    put(&wire, 20, 17, 4);
    send_wire(0, &wire);
    send_packet(0, true, 0, 0, 0, 0);
    flush("wrong size");
    check_page("wrong size", 8, 0x44);
    OK(recv_pool_finish(w.pool, &err), err, "finish");
    finish();
}

static void one_sync_more_at_the_end(void **state)
{
    struct error err;

    (void)state;
    start();
    join_all(2);
    for (size_t i = 0; i < 2; i++) {
        send_packet(i, true, 0, 0, 0, 0);
        send_packet(i, true, 0, 0, 0, 0); /* nothing will release it */
    }
    flush("the only one");
    OK(recv_pool_finish(w.pool, &err), err, "finish");
    finish();
}

static void closing_after_the_end_is_fine(void **state)
{
    struct error err;

    (void)state;
    start();
    join_all(2);
    send_packet(0, true, 0, 0, 0, 0);
    send_packet(1, true, 0, 0, 0, 0);
    hang_up(0);
    hang_up(1);
    flush("the last one");
    OK(recv_pool_finish(w.pool, &err), err, "finish");
    finish();
}

/* --- not allowed ----------------------------------------------------------------------------- */

static const struct bad_case {
    const char *label;
    unsigned n_normal, n_zero;
    size_t at;
    uint64_t value;
    size_t len;
    const char *refused;
} bad_cases[] = {
    {"magic", 1, 0, 0, 0x11223345, 4, "channel 0: multifd packet: magic 0x11223345, expected"},
    {"version", 1, 0, 4, 2, 4, "channel 0: multifd packet: version 2, expected 1"},
    {"device state", 0, 0, 8, 0x40, 4, "device state, expected RAM"},
    {"not zlib", 1, 0, 8, 0x02, 4,
     "channel 0: multifd packet: payload of 4096 bytes by zlib: damaged"},
    {"not zstd", 1, 0, 8, 0x04, 4,
     "channel 0: multifd packet: payload of 4096 bytes by zstd: damaged"},
    {"qpl", 1, 0, 8, 0x08, 4, "method qpl, expected none"},
    {"uadk", 1, 0, 8, 0x10, 4, ": it needs hardware that is not used here"},
    {"qatzip", 0, 1, 8, 0x20, 4, "method qatzip, expected none"},
    {"two methods", 1, 0, 8, 0x06, 4, "not one method"},
    {"capacity", 1, 0, 12, 129, 4, "capacity of 129 pages"},
    {"normal pages", 1, 0, 16, 129, 4, "129 normal pages"},
    {"zero pages", 1, 0, 32, 128, 4, "128 zero pages beside 1 normal"},
    {"unknown block", 1, 0, 64, 'x', 1, "RAM block 'x' is not in the list"},
    {"block with an escape", 1, 0, 64, 0x1b0a, 2, "RAM block '\?\?' is not in the list"},
    {"no block", 1, 0, 64, 0, 1, "RAM block '' is not in the list"},
    {"offset at the end", 1, 0, 320, PAGES * 4096, 8, "page 0: RAM block 'm': offset 0x40000"},
    {"offset one page over, zero page", 0, 1, 320, PAGES * 4096, 8, "page 0: RAM block 'm'"},
    {"second offset", 2, 0, 328, PAGES * 4096, 8, "page 1: RAM block 'm'"},
    {"offset one byte over", 1, 0, 320, (PAGES - 1) * 4096 + 1, 8, "expected a multiple of 4096"},
    {"unaligned offset", 1, 0, 320, 8, 8, "offset 0x8, expected a multiple of 4096"},
    {"unaligned zero page", 0, 1, 320, 2048, 8, "offset 0x800, expected a multiple of 4096"},
    {"offset of the world", 1, 0, 320, UINT64_C(0xfffffffffffff000), 8,
     "offset 0xfffffffffffff000"},
};

static const char without_zstd[] = "method zstd, expected none or zlib: this build lacks libzstd";

static void bad_packets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct wire wire = packet(false, c->n_normal, c->n_zero, 3, 0x55);
        bool absent = strstr(c->refused, "zstd") && !codec_built(CODEC_ZSTD);

        start();
        join_all(1);
        put(&wire, c->at, c->value, c->len);
        send_wire(0, &wire);
        finish_failed(c->label, ERR_PEER, absent ? without_zstd : c->refused);
    }
}

/* No page of a block that does not travel may arrive (B4), whatever the packet holds. */
static void packets_of_an_ignored_block(void **state)
{
    static const struct {
        const char *label;
        unsigned n_normal, n_zero;
    } cases[] = {{"a page", 1, 0}, {"a zero page", 0, 1}, {"both", 2, 2}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        start();
        w.map.blocks[0].travel = RAM_IGNORED;
        join_all(1);
        send_packet(0, false, cases[i].n_normal, cases[i].n_zero, 3, 0x55);
        finish_failed(cases[i].label, ERR_PEER,
                      "channel 0: multifd packet: page 0: RAM block 'm': a page of it, expected "
                      "none");
    }
}

static const struct method_case {
    const char *label;
    int pinned;
    unsigned flags; /* of the second packet; the first one's are 0 */
    unsigned n_normal, n_zero;
    const char *refused;
} method_cases[] = {
    {"zlib behind none", ANY_METHOD, 0x02, 1, 0, "method zlib, expected none: set multifd-comp"},
    {"zstd behind none", ANY_METHOD, 0x04, 0, 1, "method zstd, expected none: set multifd-comp"},
    {"qpl behind none", ANY_METHOD, 0x08, 1, 0, "method qpl, expected none: set multifd-comp"},
    {"zlib where none is pinned", CODEC_NONE, 0x02, 1, 0, "method zlib, expected none: set"},
};

static void a_channel_keeps_its_method(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(method_cases); i++) {
        const struct method_case *c = &method_cases[i];
        struct wire wire = packet(false, c->n_normal, c->n_zero, 3, 0x55);

        start_with(c->pinned, 0, 0, 0);
        join_all(1);
        send_packet(0, false, 1, 1, 0, 0x11);
        put(&wire, 8, c->flags, 4);
        send_wire(0, &wire);
        finish_failed(c->label, ERR_PEER, c->refused);
    }
    for (int pinned = CODEC_ZLIB; pinned <= CODEC_ZSTD; pinned++) {
        for (unsigned n_zero = 0; n_zero <= 1; n_zero++) {
            start_with(pinned, 0, 0, 0);
            join_all(1);
            send_packet(0, false, 1 - n_zero, n_zero, 0, 0x11);
            finish_failed("none where a method is pinned", ERR_PEER,
                          pinned == CODEC_ZLIB ? "method none, expected zlib: set"
                                               : "method none, expected zstd: set");
        }
    }
}

static const struct cut_case {
    const char *label;
    size_t len;
    const char *refused;
} cut_cases[] = {
    {"in the magic", 2, "closed the connection, 10 more bytes"},
    {"behind the prefix", 12, "closed the connection, 1332 more"},
    {"in the offsets", 1343, "closed the connection, 1 more"},
    {"before the payload", 1344, "payload of 8192 bytes: the peer closed"},
    {"in the payload", 1344 + 8191, "payload of 8192 bytes: the peer closed"},
};

static void cut_packets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cut_cases); i++) {
        struct wire wire = packet(false, 2, 0, 0, 0x66);

        start();
        join_all(1);
        wire.len = cut_cases[i].len;
        send_wire(0, &wire);
        hang_up(0);
        finish_failed(cut_cases[i].label, ERR_PEER, cut_cases[i].refused);
    }
}

/* One channel's failure wakes the others, wherever they wait. */
static void one_failure_is_everyones(void **state)
{
    struct wire bad = packet(false, 1, 0, PAGES, 0);

    (void)state;
    start();
    join_all(3);
    send_packet(0, true, 0, 0, 0, 0);  /* waits to be released */
    send_packet(1, false, 1, 0, 0, 0); /* waits for more */
    send_wire(2, &bad);
    finish_failed("one of three", ERR_PEER, "channel 2: multifd packet: page 0");
}

static void flush_without_sync(void **state)
{
    struct error err;

    (void)state;
    start_with(ANY_METHOD, 0, 0, 5);
    join_all(2);
    send_packet(0, true, 0, 0, 0, 0);
    check_refused("nothing comes", recv_pool_flush(w.pool, &err), &err, ERR_PEER,
                  "channel 1: no SYNC packet within");
    channel_group_fail(&w.group, &err);
    finish();
}

static void closed_before_its_sync(void **state)
{
    struct error err;

    (void)state;
    start();
    join_all(2);
    send_packet(0, true, 0, 0, 0, 0);
    hang_up(1);
    CHECK(recv_pool_flush(w.pool, &err) < 0 && err.kind == ERR_PEER, "it passed");
    CHECK(strstr(err.text, "channel 1: closed"), "%s", err.text);
    channel_group_fail(&w.group, &err);
    finish();
}

static void pages_behind_the_last_flush(void **state)
{
    struct error err;

    (void)state;
    start();
    join_all(1);
    send_packet(0, true, 0, 0, 0, 0);
    flush("the last one");
    send_packet(0, true, 1, 0, 0, 0x77);
    send_packet(0, false, 1, 0, 1, 0x77);
    flush("an extra one");
    struct channel_traffic traffic;
    const struct channel_stats *stats = recv_pool_stats(w.pool, 0, &traffic);
    while (atomic_load(&stats->normal) < 2) /* the second page has been read */
        ;
    check_refused("finish", recv_pool_finish(w.pool, &err), &err, ERR_PEER,
                  "channel 0: pages after the main stream's last flush");
    channel_group_fail(&w.group, &err);
    finish();
}

/* What a channel has after its last SYNC when the main stream ends. */
struct late {
    bool sync;
    unsigned n_normal, n_zero;
};

static const struct late_case {
    const char *label;
    bool refused;
    struct late packets[3];
    size_t n;
} late_cases[] = {
    {"a page", true, {{false, 1, 0}}, 1},
    {"a zero page", true, {{false, 0, 1}}, 1},
    {"a page in a SYNC", true, {{true, 1, 0}}, 1},
    {"a page, a SYNC", true, {{false, 1, 0}, {true, 0, 0}}, 2},
    {"a SYNC, a page", true, {{true, 0, 0}, {false, 1, 0}}, 2},
    {"two SYNCs, a page", true, {{true, 0, 0}, {true, 0, 0}, {false, 1, 0}}, 3},
    {"an empty packet, a zero page", true, {{false, 0, 0}, {false, 0, 1}}, 2},
    {"nothing", false, {{0}}, 0},
    {"an empty packet", false, {{false, 0, 0}}, 1},
    {"two SYNCs and an empty packet", false, {{true, 0, 0}, {false, 0, 0}, {true, 0, 0}}, 3},
};

/* Lets `n` channels reach the last flush; the last channel has `behind` after its SYNC. */
static void come_to_the_end(size_t n, const struct late *behind, size_t n_behind)
{
    start();
    join_all(n);
    for (size_t i = 0; i < n; i++)
        send_packet(i, true, 0, 0, 0, 0);
    for (size_t i = 0; i < n_behind; i++)
        send_packet(n - 1, behind[i].sync, behind[i].n_normal, behind[i].n_zero, 7, 0x77);
    flush("the last one");
}

/* The channels' threads are at a different point each time, so that the test repeats it. */
static void what_had_come_by_the_end_is_read(void **state)
{
    struct error err;

    (void)state;
    for (size_t i = 0; i < 200 * ARRAY_LEN(late_cases); i++) {
        const struct late_case *c = &late_cases[i % ARRAY_LEN(late_cases)];
        size_t n = 1 + i % CHANNELS_MAX;
        bool hangs_up = i / ARRAY_LEN(late_cases) % 2;
        char late[80];

        come_to_the_end(n, c->packets, c->n);
        if (hangs_up)
            hang_up(n - 1);
        int rc = recv_pool_finish(w.pool, &err);
        snprintf(late, sizeof(late), "channel %zu: pages after the main stream's last flush",
                 n - 1);
        if (c->refused)
            check_refused(c->label, rc, &err, ERR_PEER, late);
        else
            OK(rc, err, c->label);
        if (rc < 0)
            channel_group_fail(&w.group, &err);
        finish();
    }
}

static void *send_the_rest(void *arg)
{
    send_wire(0, arg);
    return NULL;
}

static void what_has_begun_to_come_is_waited_for(void **state)
{
    const size_t begun[] = {1, 11, 12, 700, MULTIFD_PACKET_LEN - 1};
    struct error err;
    pthread_t thread;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(begun); i++) {
        struct wire head = packet(false, 1, 0, 7, 0x77), rest = head;

        memmove(rest.bytes, rest.bytes + begun[i], rest.len - begun[i]);
        rest.len -= begun[i];
        head.len = begun[i];
        come_to_the_end(1, NULL, 0);
        send_wire(0, &head);
        pthread_create(&thread, NULL, send_the_rest, &rest);
        check_refused("begun", recv_pool_finish(w.pool, &err), &err, ERR_PEER,
                      "channel 0: pages after the main stream's last flush");
        pthread_join(thread, NULL);
        channel_group_fail(&w.group, &err);
        finish();
    }
}

static void what_comes_after_the_end_changes_nothing(void **state)
{
    struct error err;

    (void)state;
    for (int i = 0; i < 100; i++) {
        come_to_the_end(2, NULL, 0);
        OK(recv_pool_finish(w.pool, &err), err, "finish");
        send_packet(i % 2, false, 1, 0, 7, 0x77);
        hang_up(0);
        hang_up(1);
        for (size_t k = 0; k < w.n; k++)
            pthread_join(w.threads[k], NULL);
        w.n = 0;
        check_page("after the end", 7, 0);
        OK(channel_group_check(&w.group, &err), err, "after the end");
        finish();
    }
}

/* --- joining --------------------------------------------------------------------------------- */

static void joins(void **state)
{
    const struct uuid other = {{8}}, same = {{9}};
    struct error err;

    (void)state;
    start_with(ANY_METHOD, 3, 5, 0);
    join_all(2);
    check_refused("the same id", join(1, same, &err), &err, ERR_PEER,
                  "channel 1: multifd hello: channel id 1 a second time");
    check_refused("an id too large", join(3, same, &err), &err, ERR_PEER,
                  "channel id 3, expected below 3");
    check_refused("another UUID", join(2, other, &err), &err, ERR_PEER,
                  "UUID 08000000-0000-0000-0000-000000000000, expected 09000000-");
    check_refused("one is missing", recv_pool_complete(w.pool, true, NULL, &err), &err, ERR_PEER,
                  "2 channels are");
    OK(join(2, same, &err), err, "the last one");
    OK(recv_pool_complete(w.pool, true, NULL, &err), err, "complete");
    err_set(&err, ERR_CANCELLED, "cancelled");
    channel_group_fail(&w.group, &err);
    finish();
}

static void ids_have_no_gap(void **state)
{
    struct error err;

    (void)state;
    start_with(ANY_METHOD, 0, 5, 0);
    OK(recv_pool_complete(w.pool, false, NULL, &err), err, "none is fine");
    OK(join(1, (struct uuid){0}, &err), err, "id 1 first");
    check_refused("a gap", recv_pool_complete(w.pool, false, NULL, &err), &err, ERR_PEER,
                  "channel 0: not connected");
    check_refused("id 255", join(255, (struct uuid){0}, &err), &err, ERR_PEER,
                  "channel id 255, expected below 255");
    OK(join(0, (struct uuid){0}, &err), err, "id 0");
    OK(recv_pool_complete(w.pool, true, NULL, &err), err, "complete");
    send_packet(0, true, 0, 0, 0, 0);
    send_packet(1, true, 0, 0, 0, 0);
    flush("setup");
    send_packet(0, true, 0, 0, 0, 0);
    send_packet(1, true, 0, 0, 0, 0);
    flush("a round");
    check_refused("too late", join(2, (struct uuid){0}, &err), &err, ERR_PEER,
                  "joined after a round's end");
    OK(recv_pool_finish(w.pool, &err), err, "finish");
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sync_may_carry_pages),
        cmocka_unit_test(sync_holds_back),
        cmocka_unit_test(empty_sync_may_hold_leftovers),
        cmocka_unit_test(wrong_size_means_nothing_without_a_method),
        cmocka_unit_test(one_sync_more_at_the_end),
        cmocka_unit_test(closing_after_the_end_is_fine),
        cmocka_unit_test(bad_packets),
        cmocka_unit_test(packets_of_an_ignored_block),
        cmocka_unit_test(a_channel_keeps_its_method),
        cmocka_unit_test(cut_packets),
        cmocka_unit_test(one_failure_is_everyones),
        cmocka_unit_test(flush_without_sync),
        cmocka_unit_test(closed_before_its_sync),
        cmocka_unit_test(pages_behind_the_last_flush),
        cmocka_unit_test(what_had_come_by_the_end_is_read),
        cmocka_unit_test(what_has_begun_to_come_is_waited_for),
        cmocka_unit_test(what_comes_after_the_end_changes_nothing),
        cmocka_unit_test(joins),
        cmocka_unit_test(ids_have_no_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
