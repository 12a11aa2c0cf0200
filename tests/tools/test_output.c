/* Memory runs out while a report is made: once at each of its allocations. */
#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/json_memory.h"
#include "tests/support/memory.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "tools/qmp_arguments.h"
#include "tools/report.h"

static unsigned long fail_at, calls; /* 0: no allocation fails */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return ++calls == fail_at ? NULL : __real_malloc(size);
}

static struct migration_snapshot snap = {
    .status = MIGRATION_COMPLETED,
    .total_ms = 1,
    .total_bytes = 1 << 20,
    .path = {.engine = "socket", .tls = "TLSv1.3"},
    .n_channels = 2,
    .channels = {{.id = 0}, {.id = 1}},
};

/* What a report prints when its n-th allocation fails; buf_done(). */
static int printed(const struct options *o, const struct ram_map *ram, unsigned long n,
                   struct buf *ret, struct error *err)
{
    char path[PATH_MAX];
    int file = open(temp_path(path, "said"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    int before = dup(STDOUT_FILENO);

    assert_true(file >= 0 && before >= 0);
    fflush(stdout);
    dup2(file, STDOUT_FILENO);
    calls = 0;
    fail_at = n;
    int rc = report(o, VERB_RECV, &snap, 1, ram, NULL, NULL, NULL, err);
    fail_at = 0;
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    close(before);
    close(file);
    *ret = file_bytes(path);
    return rc;
}

/* The report is complete, or there is an error with the reason: never an incomplete report. */
static void try_each(const char *label, bool json)
{
    const struct options o = {.json = json, .digest = true};
    struct ram_map ram = {0};
    struct buf whole, said;
    struct error err;
    unsigned long n = 0;

    memory_fill(memory_add(&ram, "pc.ram", 3, false), 1, false);
    memory_fill(memory_add(&ram, "vga", 2, false), 2, false);
    OK(printed(&o, &ram, 0, &whole, &err), err, label);
    CHECK(whole.len > 0, "%s: nothing was printed", label);
    for (unsigned long last = calls; n < last; buf_done(&said)) {
        int rc = printed(&o, &ram, ++n, &said, &err);

        if (rc == 0)
            CHECK(said.len == whole.len && memcmp(said.data, whole.data, said.len) == 0,
                  "%s: allocation %lu failed, and so '%.*s' looked whole", label, n, (int)said.len,
                  (const char *)said.data);
        else
            CHECK(strstr(err.text, "memory"), "%s: allocation %lu: %s", label, n, err.text);
    }
    CHECK(n > 2, "%s: only %lu allocations were tried", label, n);
    buf_done(&whole);
    ram_map_done(&ram);
}

/* A command with an argument missing, or with a text for a number, would be another command. */
static void arguments_are_whole(void **state)
{
    static const char *const words[] = {"a=1", "b.c=true", "b.d=text"};
    json_t *whole, *tried = NULL;
    unsigned long n = 0;
    struct error err;

    (void)state;
    json_memory_watch();
    calls = 0;
    OK(qmp_arguments(words, ARRAY_LEN(words), &whole, &err), err, "arguments");
    for (unsigned long last = calls; n < last; json_decref(tried)) {
        tried = NULL;
        calls = 0;
        fail_at = ++n;
        int rc = qmp_arguments(words, ARRAY_LEN(words), &tried, &err);
        fail_at = 0;
        bool noticed = json_memory_check(&err) < 0;
        CHECK(rc < 0 || noticed || json_equal(tried, whole), "allocation %lu failed, unnoticed", n);
    }
    CHECK(n > 5, "only %lu allocations were tried", n);
    json_decref(whole);
}

/* Long strings, which jansson reads into memory that grows. */
static void texts_are_read_whole_or_not(void **state)
{
    static const char text[] = "{\"a name of more than sixteen bytes\": \"and a value, which is so "
                               "long that its memory grows again and again\"}";
    json_t *whole, *tried;
    unsigned long n = 0;
    json_error_t why;

    (void)state;
    json_memory_watch();
    calls = 0;
    whole = json_memory_load(text, strlen(text), 0, &why);
    CHECK(whole, "%s", why.text);
    for (unsigned long last = calls; n < last; json_decref(tried)) {
        calls = 0;
        fail_at = ++n;
        tried = json_memory_load(text, strlen(text), 0, &why);
        fail_at = 0;
        CHECK(!tried && strstr(why.text, "memory"), "allocation %lu failed, unnoticed", n);
    }
    CHECK(n > 5, "only %lu allocations were tried", n);
    CHECK(json_memory_ran_out() && !json_memory_ran_out(), "not noticed, or noticed twice");
    json_decref(whole);
}

static void reports_are_whole(void **state)
{
    (void)state;
    json_memory_watch();
    try_each("text", false);
    try_each("JSON", true);
}

static int read_fails(struct ram_block *b, uint64_t offset, void *bytes, size_t len,
                      struct error *err)
{
    (void)offset;
    (void)bytes;
    (void)len;
    errno = EIO;
    return err_sys(err, "RAM block '%s': read the snapshot", b->name);
}

/* The digest of pages on a disk that fails, and one that is cancelled. */
static void a_digest_may_fail(void **state)
{
    static const struct ram_store_ops store = {.read = read_fails};
    const struct options o = {.digest = true};
    struct ram_map ram = {0};
    struct cancel stop;
    struct error err;

    (void)state;
    struct ram_block *b = memory_add(&ram, "pc.ram", 3, false);
    OK(cancel_init(&stop, &err), err, "cancel");
    cancel_request(&stop);
    check_refused("stopped", report(&o, VERB_RECV, &snap, 1, &ram, NULL, &stop, NULL, &err), &err,
                  ERR_CANCELLED, "'pc.ram': its digest was interrupted");
    cancel_done(&stop);
    uint8_t *host = b->host;
    b->host = NULL;
    b->store = &store;
    check_refused("unreadable", report(&o, VERB_RECV, &snap, 1, &ram, NULL, NULL, NULL, &err), &err,
                  ERR_SYSTEM, "'pc.ram': read the snapshot: Input/output error");
    b->host = host;
    b->store = NULL;
    ram_map_done(&ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_whole_or_not), cmocka_unit_test(arguments_are_whole),
        cmocka_unit_test(reports_are_whole), cmocka_unit_test(a_digest_may_fail)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
