#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <jansson.h>

#include "base/fd.h"
#include "base/units.h"
#include "compress/codec.h"
#include "ram/resident.h"
#include "ram/zero_page.h"
#include "tls/tls_creds.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/result.h"
#include "tools/settings_report.h"
#include "tools/verbs.h"
#include "transport/engine.h"
#include "transport/uring_probe.h"
#include "vmm/dirty_kind.h"
#include "vmm/dirty_ring.h"
#include "vmm/memory_backing.h"
#include "vmm/numa_bind.h"

#define TCP_ULP_KTLS "tls"

#define ANSWER_LEN (ERR_REASON_LEN + 8)

/* For people: "yes", or what there is, or "no: " and the reason. For scripts: a value. */
struct answer {
    char text[ANSWER_LEN];
    json_t *value;
};

static void no(struct answer *ret, const char *reason)
{
    snprintf(ret->text, ANSWER_LEN, "no: %.*s", ANSWER_LEN - 5, reason);
    ret->value = json_false();
}

static void yes(struct answer *ret)
{
    snprintf(ret->text, ANSWER_LEN, "yes");
    ret->value = json_true();
}

static void name(struct answer *ret, const char *text)
{
    snprintf(ret->text, ANSWER_LEN, "%s", text);
    ret->value = json_string(ret->text);
}

static void yes_or_errno(bool ok, struct answer *ret)
{
    char reason[ERR_REASON_LEN];

    err_reason(errno, reason);
    if (ok)
        yes(ret);
    else
        no(ret, reason);
}

static void probe_zero_copy(struct answer *ret)
{
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    yes_or_errno(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &(int){1}, sizeof(int)) == 0,
                 ret);
}

/* `rc` is the result of a question, and `err` says why the answer is no. */
static void yes_or_error(int rc, const struct error *err, struct answer *ret)
{
    if (rc == 0)
        yes(ret);
    else
        no(ret, err->text);
}

static void probe_io_uring(struct answer *ret)
{
    struct error err;

    yes_or_error(uring_probe_ring(&err), &err, ret);
}

static void probe_send_zc(struct answer *ret)
{
    struct error err;

    yes_or_error(uring_probe_lending(&err), &err, ret);
}

static void probe_clone_buffers(struct answer *ret)
{
    struct error err;

    yes_or_error(uring_probe_sharing(&err), &err, ret);
}

static void probe_engine_auto(struct answer *ret)
{
    const struct engine *engine;
    struct error err;

    if (engine_find("auto", &engine, &err) < 0) {
        no(ret, err.text);
        return;
    }
    snprintf(ret->text, ANSWER_LEN, "%s: %s", engine->name, engine_auto_reason());
    ret->value = json_pack("{s:s, s:s}", "engine", engine->name, "why", engine_auto_reason());
}

/* Which implementations pack a method, with their levels, and which one unpacks it. */
static void probe_method(enum codec_method method, struct answer *ret)
{
    size_t n, len = 0;
    const struct codec_ops *const *all = codec_implementations(&n);

    if (!codec_built(method)) {
        no(ret, codec_absence(method));
        return;
    }
    json_t *packing = json_array();
    for (size_t i = 0; i < n; i++) {
        if (all[i]->method != method)
            continue;
        len +=
            (size_t)snprintf(ret->text + len, ANSWER_LEN - len, "%s%s (levels %d to %d)",
                             len ? ", " : "", all[i]->name, all[i]->level_min, all[i]->level_max);
        json_array_append_new(packing,
                              json_pack("{s:s, s:i, s:i}", "name", all[i]->name, "level-min",
                                        all[i]->level_min, "level-max", all[i]->level_max));
    }
    snprintf(ret->text + len, ANSWER_LEN - len, "; unpacking: %s", codec_unpacking(method)->name);
    ret->value =
        json_pack("{s:o, s:s}", "packing", packing, "unpacking", codec_unpacking(method)->name);
}

static void probe_zlib(struct answer *ret)
{
    probe_method(CODEC_ZLIB, ret);
}

static void probe_zstd(struct answer *ret)
{
    probe_method(CODEC_ZSTD, ret);
}

static void probe_tls(struct answer *ret)
{
    name(ret, tls_library());
}

/* The protocol can be attached to a connected socket only, so we connect to ourselves. */
static void probe_ktls(struct answer *ret)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    AUTO_FD int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = bind(listening, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
              listen(listening, 1) == 0 &&
              getsockname(listening, (struct sockaddr *)&sa, &len) == 0 &&
              connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
              setsockopt(fd, IPPROTO_TCP, TCP_ULP, TCP_ULP_KTLS, sizeof(TCP_ULP_KTLS)) == 0;

    yes_or_errno(ok, ret);
}

static void probe_vsock(struct answer *ret)
{
    AUTO_FD int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    yes_or_errno(fd >= 0, ret);
}

static void probe_kvm(struct answer *ret)
{
    AUTO_FD int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    yes_or_errno(fd >= 0, ret);
}

static void probe_source(enum dirty_kind kind, struct answer *ret)
{
    struct error err;

    yes_or_error(dirty_kind_usable(kind, &err), &err, ret);
}

static void probe_dirty_log(struct answer *ret)
{
    probe_source(DIRTY_LOG, ret);
}

static void probe_dirty_ring(struct answer *ret)
{
    struct error err;
    int entries = dirty_ring_usable(&err);

    if (entries < 0) {
        probe_source(DIRTY_RING, ret);
        return;
    }
    entries = MIN(entries, DIRTY_RING_MAX);
    snprintf(ret->text, ANSWER_LEN, "yes: up to %d entries", entries);
    ret->value = json_pack("{s:i}", "entries-max", entries);
}

static void probe_dirty_uffd(struct answer *ret)
{
    probe_source(DIRTY_UFFD, ret);
}

/* The word in brackets is the active choice. */
static void probe_thp(struct answer *ret)
{
    char text[128] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");

    if (f && fgets(text, sizeof(text), f)) {
        char *open = strchr(text, '['), *end = open ? strchr(open, ']') : NULL;

        if (end)
            *end = 0;
        name(ret, end ? open + 1 : text);
    } else {
        yes_or_errno(false, ret);
    }
    if (f)
        fclose(f);
}

static void probe_hugetlb(struct answer *ret)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } sizes[] = {{"2M", UINT64_C(2) << 20}, {"1G", UINT64_C(1) << 30}};
    size_t len = 0;

    ret->value = json_array();
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint64_t there = memory_backing_huge_free(sizes[i].bytes);

        len += (size_t)snprintf(ret->text + len, ANSWER_LEN - len, "%s%" PRIu64 " of %s free",
                                i ? ", " : "", there, sizes[i].name);
        json_array_append_new(ret->value,
                              json_pack("{s:I, s:I}", "page-size", (json_int_t)sizes[i].bytes,
                                        "free", (json_int_t)there));
    }
}

static void probe_numa(struct answer *ret)
{
    struct error err;

    yes_or_error(numa_usable(&err), &err, ret);
}

static void probe_memlock(struct answer *ret)
{
    struct rlimit limit;

    char text[UNIT_TEXT_LEN];

    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0) {
        yes_or_errno(false, ret);
    } else if (limit.rlim_cur == RLIM_INFINITY) {
        snprintf(ret->text, ANSWER_LEN, "unlimited");
        ret->value = json_null();
    } else {
        snprintf(ret->text, ANSWER_LEN, "%s", memory_text(limit.rlim_cur, text));
        ret->value = json_integer((json_int_t)limit.rlim_cur);
    }
}

static void probe_zero_page(struct answer *ret)
{
    name(ret, zero_page_method());
}

static void probe_resident(struct answer *ret)
{
    name(ret, ram_resident_method());
}

static const struct {
    const char *name;
    void (*probe)(struct answer *ret);
} probes[] = {
    {"zero-copy", probe_zero_copy},
    {"io-uring", probe_io_uring},
    {"io-uring-send-zc", probe_send_zc},
    {"io-uring-clone-buffers", probe_clone_buffers},
    {"engine-auto", probe_engine_auto},
    {"compress-zlib", probe_zlib},
    {"compress-zstd", probe_zstd},
    {"tls", probe_tls},
    {"ktls", probe_ktls},
    {"vsock", probe_vsock},
    {"kvm", probe_kvm},
    {"dirty-source-log", probe_dirty_log},
    {"dirty-source-ring", probe_dirty_ring},
    {"dirty-source-uffd", probe_dirty_uffd},
    {"transparent-hugepages", probe_thp},
    {"hugetlb", probe_hugetlb},
    {"numa", probe_numa},
    {"memlock", probe_memlock},
    {"zero-page-scan", probe_zero_page},
    {"never-touched-memory", probe_resident},
};

static int probe_host(bool json, struct error *err)
{
    json_t *root = json_object(), *reasons = json_object();

    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        struct answer answer = {.value = NULL};

        probes[i].probe(&answer);
        if (json_is_false(answer.value))
            json_object_set_new(reasons, probes[i].name, json_string(answer.text + strlen("no: ")));
        json_object_set_new(root, probes[i].name, answer.value);
        if (!json)
            printf("%-24s %s\n", probes[i].name, answer.text);
    }
    json_object_set_new(root, "reasons", reasons);
    if (json)
        return result_print(root, NULL, err);
    json_decref(root);
    return output_flush(err);
}

static int probe_rules(bool json, struct error *err)
{
    if (json)
        return result_print(rules_json(), NULL, err);
    settings_print(stdout);
    printf("\nRules:\n");
    rules_print(stdout);
    return 0;
}

int verb_probe(int argc, char **argv, struct error *err)
{
    struct options options;
    size_t n;

    if (options_parse(VERB_PROBE, argc, argv, &options, NULL, 0, &n, err) < 0)
        return -1;
    return options.rules ? probe_rules(options.json, err) : probe_host(options.json, err);
}
