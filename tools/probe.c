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
#include "compress/codec.h"
#include "ram/resident.h"
#include "ram/zero_page.h"
#include "tls/tls_creds.h"
#include "tools/json_print.h"
#include "tools/options.h"
#include "tools/settings_report.h"
#include "tools/verbs.h"
#include "transport/engine.h"
#include "transport/uring_probe.h"
#include "vmm/dirty_kind.h"
#include "vmm/dirty_ring.h"
#include "vmm/memory_backing.h"
#include "vmm/numa_bind.h"

#define TCP_ULP_KTLS "tls"

/* Each probe answers with a text: "yes", or what there is, or "no: " and the reason. */
#define ANSWER_LEN (ERR_REASON_LEN + 8)

static void yes_or_errno(bool ok, char *ret)
{
    char reason[ERR_REASON_LEN];

    err_reason(errno, reason);
    snprintf(ret, ANSWER_LEN, ok ? "yes" : "no: %s", reason);
}

static void probe_zero_copy(char *ret)
{
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    yes_or_errno(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &(int){1}, sizeof(int)) == 0,
                 ret);
}

/* `rc` is the result of a question, and `err` says why the answer is no. */
static void yes_or_error(int rc, const struct error *err, char *ret)
{
    if (rc == 0)
        snprintf(ret, ANSWER_LEN, "yes");
    else
        snprintf(ret, ANSWER_LEN, "no: %.*s", ANSWER_LEN - 5, err->text);
}

static void probe_io_uring(char *ret)
{
    struct error err;

    yes_or_error(uring_probe_ring(&err), &err, ret);
}

static void probe_send_zc(char *ret)
{
    struct error err;

    yes_or_error(uring_probe_lending(&err), &err, ret);
}

static void probe_clone_buffers(char *ret)
{
    struct error err;

    yes_or_error(uring_probe_sharing(&err), &err, ret);
}

static void probe_engine_auto(char *ret)
{
    const struct engine *engine;
    struct error err;

    if (engine_find("auto", &engine, &err) == 0)
        snprintf(ret, ANSWER_LEN, "%s: %s", engine->name, engine_auto_reason());
}

/* Which implementations pack a method, with their levels, and which one unpacks it. */
static void probe_method(enum codec_method method, char *ret)
{
    size_t n, len = 0;
    const struct codec_ops *const *all = codec_implementations(&n);

    if (!codec_built(method)) {
        snprintf(ret, ANSWER_LEN, "no: %s", codec_absence(method));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (all[i]->method != method)
            continue;
        len +=
            (size_t)snprintf(ret + len, ANSWER_LEN - len, "%s%s (levels %d to %d)", len ? ", " : "",
                             all[i]->name, all[i]->level_min, all[i]->level_max);
    }
    snprintf(ret + len, ANSWER_LEN - len, "; unpacking: %s", codec_unpacking(method)->name);
}

static void probe_zlib(char *ret)
{
    probe_method(CODEC_ZLIB, ret);
}

static void probe_zstd(char *ret)
{
    probe_method(CODEC_ZSTD, ret);
}

static void probe_tls(char *ret)
{
    snprintf(ret, ANSWER_LEN, "%s", tls_library());
}

/* The protocol can be attached to a connected socket only, so we connect to ourselves. */
static void probe_ktls(char *ret)
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

static void probe_vsock(char *ret)
{
    AUTO_FD int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    yes_or_errno(fd >= 0, ret);
}

static void probe_kvm(char *ret)
{
    AUTO_FD int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    yes_or_errno(fd >= 0, ret);
}

static void probe_source(enum dirty_kind kind, char *ret)
{
    struct error err;

    yes_or_error(dirty_kind_usable(kind, &err), &err, ret);
}

static void probe_dirty_log(char *ret)
{
    probe_source(DIRTY_LOG, ret);
}

static void probe_dirty_ring(char *ret)
{
    struct error err;
    int entries = dirty_ring_usable(&err);

    if (entries < 0)
        probe_source(DIRTY_RING, ret);
    else
        snprintf(ret, ANSWER_LEN, "yes: up to %d entries", MIN(entries, DIRTY_RING_MAX));
}

static void probe_dirty_uffd(char *ret)
{
    probe_source(DIRTY_UFFD, ret);
}

/* The word in brackets is the active choice. */
static void probe_thp(char *ret)
{
    char text[128] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");

    if (f && fgets(text, sizeof(text), f)) {
        char *open = strchr(text, '['), *end = open ? strchr(open, ']') : NULL;

        if (end)
            *end = 0;
        snprintf(ret, ANSWER_LEN, "%.60s", end ? open + 1 : text);
    } else {
        yes_or_errno(false, ret);
    }
    if (f)
        fclose(f);
}

static void probe_hugetlb(char *ret)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } sizes[] = {{"2M", UINT64_C(2) << 20}, {"1G", UINT64_C(1) << 30}};
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        len +=
            (size_t)snprintf(ret + len, ANSWER_LEN - len, "%s%" PRIu64 " of %s free", i ? ", " : "",
                             memory_backing_huge_free(sizes[i].bytes), sizes[i].name);
}

static void probe_numa(char *ret)
{
    struct error err;

    yes_or_error(numa_usable(&err), &err, ret);
}

static void probe_memlock(char *ret)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        yes_or_errno(false, ret);
    else if (limit.rlim_cur == RLIM_INFINITY)
        snprintf(ret, ANSWER_LEN, "unlimited");
    else
        snprintf(ret, ANSWER_LEN, "%llu KiB", (unsigned long long)limit.rlim_cur / 1024);
}

static void probe_zero_page(char *ret)
{
    snprintf(ret, ANSWER_LEN, "%s", zero_page_method());
}

static void probe_resident(char *ret)
{
    snprintf(ret, ANSWER_LEN, "%s", ram_resident_method());
}

static const struct {
    const char *name;
    void (*probe)(char *ret);
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
    json_auto_t *root = json_object();

    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        char answer[ANSWER_LEN];

        probes[i].probe(answer);
        json_object_set_new(root, probes[i].name, json_string(answer));
        if (!json)
            printf("%-24s %s\n", probes[i].name, answer);
    }
    return json ? json_print(root, JSON_COMPACT, err) : 0;
}

static int probe_rules(bool json, struct error *err)
{
    if (json) {
        json_auto_t *list = rules_json();

        return json_print(list, JSON_COMPACT, err);
    }
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
