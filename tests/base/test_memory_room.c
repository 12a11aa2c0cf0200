#include "base/memory_room.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/kernel_file.h"
#include "tests/support/temp.h"
#include "tests/support/test.h"

#define MIB (UINT64_C(1) << 20)

#define HOST    "MemTotal: 8388608 kB\nMemFree: 1024 kB\nMemAvailable:  4194304 kB\nSwapFree: 0 kB\n"
#define SWAP    "MemAvailable: 1048576 kB\nSwapFree: 2097152 kB\n"
#define OF_V2   "3:cpu:/\n0::/user/me\n"
#define OF_V1   "4:memory:/a/b\n1:cpu:/c\n"
#define V2      "sys/fs/cgroup/"
#define V1      "sys/fs/cgroup/memory/"
#define IN_ME   V2 "user/me/"
#define IN_USER V2 "user/"

static const struct room_case {
    const char *label;
    const char *files[8][2]; /* name, text */
    uint64_t want_mib;       /* UINT64_MAX: no limit */
    const char *limit;
} cases[] = {
    {"nothing is known", {{NULL}}, UINT64_MAX, ""},
    {"the host", {{"proc/meminfo", HOST}}, 4096, "on this host"},
    {"free swap counts", {{"proc/meminfo", SWAP}}, 3072, "on this host"},
    {"an old kernel does not tell", {{"proc/meminfo", "MemFree: 1 kB\n"}}, UINT64_MAX, ""},
    {"a group",
     {{"proc/meminfo", HOST},
      {"proc/self/cgroup", OF_V2},
      {IN_ME "memory.max", "1073741824\n"},
      {IN_ME "memory.current", "268435456\n"}},
     768,
     "in the cgroup /user/me (memory.max)"},
    {"pages of files are given up",
     {{"proc/self/cgroup", OF_V2},
      {IN_ME "memory.max", "1073741824\n"},
      {IN_ME "memory.current", "805306368\n"},
      {IN_ME "memory.stat", "anon 1\nactive_file 134217728\ninactive_file 134217728\n"}},
     512,
     "/user/me"},
    {"a parent's limit is lower",
     {{"proc/self/cgroup", OF_V2},
      {IN_ME "memory.max", "1073741824\n"},
      {IN_ME "memory.current", "0\n"},
      {IN_USER "memory.max", "536870912\n"},
      {IN_USER "memory.current", "524288000\n"}},
     12,
     "in the cgroup /user (memory.max)"},
    {"no limit but the container's own, at the top",
     {{"proc/self/cgroup", OF_V2},
      {IN_ME "memory.max", "max\n"},
      {IN_ME "memory.current", "0\n"},
      {V2 "memory.max", "104857600\n"},
      {V2 "memory.current", "4096\n"}},
     99,
     "in the cgroup / "},
    {"more is used than allowed",
     {{"proc/self/cgroup", OF_V2},
      {IN_ME "memory.max", "4096\n"},
      {IN_ME "memory.current", "8192\n"}},
     0,
     "/user/me"},
    {"the group may swap",
     {{"proc/meminfo", SWAP},
      {"proc/self/cgroup", OF_V2},
      {IN_ME "memory.max", "1048576\n"},
      {IN_ME "memory.current", "0\n"},
      {IN_ME "memory.swap.max", "2097152\n"},
      {IN_ME "memory.swap.current", "1048576\n"}},
     2,
     "/user/me"},
    {"version 1",
     {{"proc/self/cgroup", OF_V1},
      {V1 "a/b/memory.limit_in_bytes", "104857600\n"},
      {V1 "a/b/memory.usage_in_bytes", "52428800\n"},
      {V1 "a/b/memory.stat", "total_active_file 0\ntotal_inactive_file 10485760\n"}},
     60,
     "in the cgroup /a/b (memory.limit_in_bytes)"},
    {"version 1 without a limit",
     {{"proc/self/cgroup", OF_V1},
      {V1 "a/b/memory.limit_in_bytes", "9223372036854771712\n"},
      {V1 "a/b/memory.usage_in_bytes", "52428800\n"}},
     UINT64_MAX,
     ""},
    {"nonsense",
     {{"proc/meminfo", "MemAvailable"},
      {"proc/self/cgroup", "::::\n0\n\n:memory\n"},
      {V2 "memory.max", "lots"}},
     UINT64_MAX,
     ""},
};

static void write_below(const char *root, const char *name, const char *text)
{
    char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = 0;
        mkdir(path, 0700); /* fails where it is there */
        *at = '/';
    }
    file_write(path, text, strlen(text));
}

static void finds_the_least(void **state)
{
    static struct memory_room room;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct room_case *c = &cases[i];
        char root[PATH_MAX], number[24];

        snprintf(number, sizeof(number), "%zu", i);
        temp_path(root, number);
        for (size_t n = 0; n < ARRAY_LEN(c->files) && c->files[n][0]; n++)
            write_below(root, c->files[n][0], c->files[n][1]);
        memory_room_find(root, &room);
        uint64_t mib = room.fill_bytes == UINT64_MAX ? UINT64_MAX : room.fill_bytes / MIB;
        CHECK(mib == c->want_mib && strstr(room.fill_limit, c->limit), "%s: %llu MiB %s", c->label,
              (unsigned long long)mib, room.fill_limit);
    }
}

static void judges(void **state)
{
    static struct memory_room room = {.fill_bytes = 4096 * MIB,
                                      .map_bytes = 8192 * MIB,
                                      .fill_limit = "on this host",
                                      .map_limit = "of this process (RLIMIT_AS)"};
    struct error err;

    (void)state;
    assert_int_equal(memory_room_judge(&room, 8192 * MIB, 4096 * MIB, &err), 0);
    assert_int_equal(memory_room_judge(&room, 8192 * MIB, 6144 * MIB, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_string_equal(err.text, "6 GiB of memory to fill: 4 GiB are available on this host");
    assert_int_equal(memory_room_judge(&room, 10240 * MIB, 0, &err), -1);
    assert_string_equal(err.text, "10 GiB of memory: 8 GiB are left of this process (RLIMIT_AS)");
}

static void sees_the_limits(void **state)
{
    static struct memory_room room;
    struct rlimit limit, before;
    char text[8192];

    (void)state;
    kernel_file_read("/proc/self/status", text, sizeof(text));
    getrlimit(RLIMIT_DATA, &before);
    limit = before;
    /* A sanitizer has terabytes. */
    limit.rlim_cur = (kernel_file_number(text, "VmData:") << 10) + (UINT64_C(64) << 30);
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
    memory_room_find("", &room);
    setrlimit(RLIMIT_DATA, &before);
    CHECK(room.map_bytes <= UINT64_C(64) << 30 && room.map_bytes > UINT64_C(1) << 30 &&
              strstr(room.map_limit, "RLIMIT_"),
          "%llu bytes %s", (unsigned long long)room.map_bytes, room.map_limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_least),
        cmocka_unit_test(judges),
        cmocka_unit_test(sees_the_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
