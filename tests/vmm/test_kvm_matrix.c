/*
 * Guests under KVM that move: every dirty source, memory of every kind, one vCPU and two, every
 * method, with TLS and without. The guest has a ledger of its pages, vector registers and a timer
 * to lose. Source and destination are compared after the move, while the user has paused the guest.
 */
#include <unistd.h>

#include "base/fd.h"
#include "capture/target.h"
#include "compress/codec.h"
#include "tests/support/backings.h"
#include "tests/support/guests.h"
#include "tests/support/memory.h"
#include "tests/support/methods.h"
#include "tests/support/move.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "tests/support/tls_pair.h"
#include "vmm/dirty_ring.h"

#define MIB    (UINT64_C(1) << 20)
#define MEMORY (24 * MIB)

static const struct backing_case *const anonymous = &backing_cases[0];

#define GUEST "dirtier,rate=40M,pattern=hot,working-set=8M,write=avx"

/* How a move is done, beside source and memory. */
struct way {
    unsigned cpus;
    enum codec_method method;
    const char *tls_name;
    const struct tls_creds *client, *server;
};

static struct machine *make(const char *label, const struct backing_case *c, enum dirty_kind dirty,
                            unsigned cpus, bool incoming)
{
    struct machine_guest_config config = {
        .guest = GUEST, .bytes = MEMORY, .cpus = cpus, .incoming = incoming, .dirty = dirty};
    static unsigned serial;
    char text[PATH_MAX];
    struct error err;

    snprintf(text, sizeof(text), "%s", c->text);
    if (strcmp(c->text, "file:") == 0)
        snprintf(text, sizeof(text), "file:%s/%u", temp_dir(), serial++);
    OK(memory_backing_parse(text, &config.backing, &err), err, label);
    config.backing.sharing = c->sharing;
    return guest_new(label, &config);
}

/* In scripts/lab the guest writes faster than any way can send, slowest of all zlib with
 * dirty pages of 2 MiB. */
static unsigned downtime_ms(void)
{
    return is_in_lab() ? 60000 : 300;
}

/* The user has paused the guest, so that both sides can be compared after the move;
 * then it runs on. */
static void move(const char *label, const struct way *way, struct machine *from, struct machine *to)
{
    const struct move move = {
        .label = label,
        .config = {.n_channels = 2,
                   .method = way->method,
                   .level = 1,
                   .return_path = true,
                   .live.downtime_limit_ms = downtime_ms()},
        .client = way->client,
        .server = way->server,
    };

    machine_resume(from, MACHINE_PAUSED);
    guest_await(label, from, 5);
    move_machine(&move, from, to);
    memory_check_equal(label, &from->ram, &to->ram);
    guest_check_same(label, from, to);
    machine_resume(to, MACHINE_PAUSED);
    guest_await_swept(label, to, 1);
    guest_check_clean(label, to);
}

static const struct way plain = {.cpus = 2};

static bool is_usable(enum dirty_kind kind)
{
    struct error err;

    if (dirty_kind_usable(kind, &err) == 0)
        return true;
    print_message("skipped: %s: %s\n", dirty_kind_name(kind), err.text);
    return false;
}

static void try_way(const struct backing_case *c, enum dirty_kind kind, const struct way *way)
{
    char label[160];

    snprintf(label, sizeof(label), "%s, %s, %u vCPUs, %s, %s", c->label, dirty_kind_name(kind),
             way->cpus, codec_name(way->method), way->tls_name);
    struct machine *from = make(label, c, kind, way->cpus, false);
    struct machine *to = make(label, c, kind, way->cpus, true);
    move(label, way, from, to);
    machine_free(from);
    machine_free(to);
}

static void save(const char *label, struct machine *from, const char *path)
{
    const struct move move = {
        .label = label,
        .config = {.n_channels = 2, .return_path = true, .live.downtime_limit_ms = downtime_ms()},
    };
    struct target *target;
    struct error err;

    OK(target_file_new(&(struct target_config){.path = path, .force = true}, &target, &err), err,
       label);
    move_to_target(&move, from, target);
    target_free(target);
}

/*
 * Into a file, and out of it, with the guest running as soon as possible, and on from there: the
 * next move includes the pages that the guest has not touched since.
 */
static void try_file(const struct backing_case *c, enum dirty_kind kind)
{
    struct machine *from, *to;
    char label[160], path[PATH_MAX];
    struct error err;

    snprintf(label, sizeof(label), "%s, %s, a file", c->label, dirty_kind_name(kind));
    from = make(label, c, kind, 2, false);
    machine_resume(from, MACHINE_PAUSED);
    guest_await(label, from, 5);
    save(label, from, temp_path(path, "guest"));
    to = make(label, c, kind, 2, true);
    machine_resume(to, MACHINE_PAUSED);
    OK(move_from_file(path, to, &err), err, label);
    guest_await_swept(label, to, 1);
    guest_check_clean(label, to);
    machine_free(from);
    unlink(path);
    from = to;
    to = make(label, c, kind, 2, true);
    move(label, &plain, from, to);
    machine_free(from);
    machine_free(to);
}

static struct {
    const char *name;
    struct tls_creds *client, *server;
} tls[] = {{.name = "no TLS"}, {.name = "X.509"}, {.name = "PSK"}};

#define METHODS 3 /* none, zlib, zstd */
#define CPUS    2
#define WAYS    (CPUS * METHODS * ARRAY_LEN(tls))

static struct way way_at(size_t i)
{
    return (struct way){
        .cpus = 1 + (unsigned)(i % CPUS),
        .method = (enum codec_method)(i / CPUS % METHODS),
        .tls_name = tls[i / CPUS / METHODS].name,
        .client = tls[i / CPUS / METHODS].client,
        .server = tls[i / CPUS / METHODS].server,
    };
}

/* Both are coprime to the number of ways. */
#define FEWER        5
#define FEWER_IN_LAB 11

/*
 * All of them; under a sanitizer, which is five times slower, every fifth, so that each value of
 * each dimension still meets each value of every other; in scripts/lab every eleventh. Memory that
 * is shared in an unusual way for its kind makes no difference to a way: a fifth of that number.
 */
static void try_all(const struct backing_case *c)
{
    size_t some = TEST_SLOWNESS * (is_in_lab() ? FEWER_IN_LAB : 1);
    size_t stride = some * (c->sharing == MEMORY_SHARED_USUALLY ? 1 : FEWER);
    static size_t turn;

    for (int kind = 0; kind < DIRTY_KINDS; kind++) {
        for (size_t i = 0; is_usable((enum dirty_kind)kind) && i < WAYS; i++) {
            struct way way = way_at(i);

            if (turn++ % stride == 0 && codec_built(way.method))
                try_way(c, (enum dirty_kind)kind, &way);
        }
        if (is_usable((enum dirty_kind)kind) && turn++ % some == 0)
            try_file(c, (enum dirty_kind)kind);
    }
}

static void every_way_from_every_source_and_memory(void **state)
{
    (void)state;
    (void)method_is_here("what is packed by zstd", CODEC_ZSTD);
    for (size_t i = 0; i < BACKING_CASES; i++) {
        const struct backing_case *c = &backing_cases[i];

        if (!c->huge_bytes) {
            try_all(c);
            continue;
        }
        AUTO_FD int lock = huge_pages_lock(c->huge_bytes);
        (void)lock; /* until the end of this block */
        uint64_t before = huge_pages_get(c->huge_bytes);
        uint64_t each = ALIGN_UP(MEMORY, c->huge_bytes) / c->huge_bytes;
        if (huge_pages_set(c->huge_bytes, before + 2 * each))
            try_all(c);
        else
            print_message("%s: skipped: this host gives no huge pages more\n", c->label);
        (void)!huge_pages_set(c->huge_bytes, before);
    }
}

/* Source and destination need not have the same kind of dirty source or memory. */
static void between_different_ones(void **state)
{
    const struct backing_case *memfd = &backing_cases[1];

    (void)state;
    for (int kind = 0; kind < DIRTY_KINDS; kind++) {
        enum dirty_kind other = (enum dirty_kind)((kind + 1) % DIRTY_KINDS);

        if (!is_usable((enum dirty_kind)kind) || !is_usable(other))
            continue;
        struct machine *a = make("a", anonymous, (enum dirty_kind)kind, 2, false);
        struct machine *b = make("b", memfd, other, 2, true);
        struct machine *c = make("c", anonymous, (enum dirty_kind)kind, 2, true);
        move("there", &plain, a, b);
        move("and on", &plain, b, c);
        machine_free(a);
        machine_free(b);
        machine_free(c);
    }
}

/* A vCPU whose limit allows a page in hours moves nevertheless, and is free after that. */
static void limits_what_is_dirty(void **state)
{
    struct machine *from, *to;

    (void)state;
    if (!is_usable(DIRTY_RING))
        return;
    from = make("from", anonymous, DIRTY_RING, 2, false);
    to = make("to", anonymous, DIRTY_RING, 2, true);
    machine_resume(from, MACHINE_PAUSED);
    guest_await("before", from, 5);
    from->ops->limit_dirty(from, 1); /* without a migration nothing is counted or delayed */
    move("limited", &plain, from, to);
    machine_free(from);
    machine_free(to);
    from = make("log", anonymous, DIRTY_LOG, 2, false);
    CHECK(!from->ops->limit_dirty, "the log does not know who wrote");
    machine_free(from);
}

static void refuses(void **state)
{
    static const struct refuse_case {
        const char *label;
        struct machine_guest_config config;
        const char *part;
    } cases[] = {
        {"an odd ring", {.dirty = DIRTY_RING, .dirty_ring = 1000}, "expected a power of two"},
        {"a ring for the log", {.dirty_ring = 4096}, "but the dirty source is 'log'"},
        {"no file",
         {.backing = {.kind = MEMORY_FILE, .path = "/dev/null"}},
         "memory, file: /dev/null: not a regular file"},
    };
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct machine_guest_config config = cases[i].config;
        struct machine *m;

        config.guest = "counter";
        config.bytes = MEMORY;
        config.cpus = 1;
        check_refused(cases[i].label, machine_kvm_new(&config, &m, &err), &err, ERR_USAGE,
                      cases[i].part);
    }
    enum dirty_kind kind;
    check_refused("no such source", dirty_kind_find("rings", &kind, &err), &err, ERR_USAGE,
                  "expected log|ring|uffd");
    for (int i = 0; i < DIRTY_KINDS; i++) {
        OK(dirty_kind_find(dirty_kind_name((enum dirty_kind)i), &kind, &err), err, "its name");
        CHECK((int)kind == i, "%s", dirty_kind_name(kind));
    }
}

static void make_credentials(void)
{
    tls_files();
    tls[1].client = tls_creds_named((struct tls_config){.dir = "good", .hostname = "host.example"});
    tls[1].server = tls_creds_named((struct tls_config){.server = true, .dir = "good"});
    tls[2].client = tls_creds_named((struct tls_config){.psk_file = "keys.psk"});
    tls[2].server = tls_creds_named((struct tls_config){.server = true, .psk_file = "keys.psk"});
}

static void free_credentials(void)
{
    for (size_t i = 0; i < ARRAY_LEN(tls); i++) {
        tls_creds_free(tls[i].client);
        tls_creds_free(tls[i].server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_from_every_source_and_memory),
        cmocka_unit_test(between_different_ones),
        cmocka_unit_test(limits_what_is_dirty),
        cmocka_unit_test(refuses),
    };
    struct error err;

    if (machine_kvm_usable(&err) < 0)
        skip_all(err.text);
    make_credentials();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free_credentials();
    return failed;
}
