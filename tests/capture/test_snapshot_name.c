#include "capture/snapshot_name.h"

#include "tests/support/test.h"

static const struct name_case {
    const char *label;
    struct timespec at;
    const char *machine, *uuid;
    unsigned number;
    const char *want;
} cases[] = {
    {"a machine",
     {1764479655, 123456789},
     "pc-q35-9.0",
     NULL,
     1,
     "20251130T051415.123Z_pc-q35-9.0.snap"},
    {"a UUID",
     {0, 0},
     "pc-q35-9.0",
     "12345678-90ab-cdef-1234-567890abcdef",
     1,
     "19700101T000000.000Z_12345678-90ab-cdef-1234-567890abcdef.snap"},
    {"a UUID that is not set",
     {0, 0},
     "pc",
     "00000000-0000-0000-0000-000000000000",
     1,
     "19700101T000000.000Z_pc.snap"},
    {"no machine", {0, 0}, "", NULL, 1, "19700101T000000.000Z_vm.snap"},
    {"the second one", {0, 999999999}, "pc", NULL, 2, "19700101T000000.999Z_pc-2.snap"},
    {"another folder",
     {0, 0},
     "../../etc/passwd",
     NULL,
     1,
     "19700101T000000.000Z_.._.._etc_passwd.snap"},
    {"a terminal's codes",
     {0, 0},
     "a\x1b[2J\n\xc3\xa4 b*",
     NULL,
     1,
     "19700101T000000.000Z_a__2J____b_.snap"},
};

static void a_name_is_safe(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct name_case *c = &cases[i];
        struct configuration vm = {.has_uuid = c->uuid != NULL};
        char name[SNAPSHOT_NAME_LEN];

        strcpy(vm.machine, c->machine);
        if (c->uuid)
            CHECK(uuid_parse(c->uuid, &vm.uuid) == 0, "%s: the UUID", c->label);
        snapshot_name(&c->at, &vm, c->number, name);
        CHECK(strcmp(name, c->want) == 0, "%s: '%s', want '%s'", c->label, name, c->want);
    }
}

/* The longest machine, the latest year and the highest number: the end is still there. */
static void the_longest_name_fits(void **state)
{
    const struct timespec late = {INT64_MAX, 999999999};
    struct configuration vm = {0};
    char name[SNAPSHOT_NAME_LEN];

    (void)state;
    memset(vm.machine, 'm', MACHINE_NAME_MAX);
    snapshot_name(&late, &vm, UINT32_MAX, name);
    size_t len = strlen(name);
    CHECK(len < sizeof(name) && strcmp(name + len - 5, ".snap") == 0, "'%s'", name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_safe),
        cmocka_unit_test(the_longest_name_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
