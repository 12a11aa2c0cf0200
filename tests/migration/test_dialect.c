#include "migration/dialect.h"

#include "tests/support/test.h"

/*
 * Written by hand from recordings of QEMU 7.2, 10.0 and 11.1 and from reading the versions between
 * them, not copied from the table under test. In the order of the members.
 */
static const struct dialect all_old = {false, false, false, true, false, false};
static const struct dialect flush_word = {true, false, false, true, true, false};
static const struct dialect zeros_in_packets = {true, true, false, true, true, false};
static const struct dialect switchover_start = {true, true, true, true, true, true};
static const struct dialect no_ack = {true, true, true, false, false, true};
static const struct dialect ours = {true, true, false, true, true, true};
static const struct dialect undated = {true, true, false, true, false, false};

static const struct dialect_case {
    const char *machine;
    const struct dialect *want;
} dialect_cases[] = {
    {"pc-i440fx-2.4", &all_old},
    {"pc-q35-7.2", &all_old},
    {"pc-q35-8.0", &all_old},
    {"pc-q35-8.1", &flush_word},
    {"pc-q35-8.2", &flush_word},
    {"pc-q35-9.0", &zeros_in_packets},
    {"pc-q35-9.1", &zeros_in_packets},
    {"virt-9.2", &zeros_in_packets},
    {"pc-q35-10.0", &switchover_start},
    {"pc-q35-10.1", &switchover_start},
    {"pc-i440fx-10.2", &switchover_start},
    {"pc-q35-11.0", &switchover_start},
    {"pc-q35-11.1", &no_ack},
    {"pc-q35-11.2", &no_ack},
    {"pc-q35-12.0", &no_ack},
    {"pc-q35-99.99", &no_ack},

    {"ramjet-1.0", &ours},
    {"ramjet-9.0", &ours},
    {"ramjet-", &ours},

    {"pc-q35-100.1", &undated},
    {"pc-q35-4294967306.0", &undated}, /* 10 in 32 bits */
    {"pc-q35-0.0", &undated},
    {"pc-q35", &undated},
    {"pc-q35-8", &undated},
    {"pc-q35-8.", &undated},
    {"pc-q35-8.0x", &undated},
    {"pc-q35-8.0.1", &undated},
    {"pc-q35-.1", &undated},
    {"pc-q35-rhel9.6.0", &undated},
    {"q35", &undated},
    {"microvm", &undated},
    {"ramjet", &undated},
    {"-", &undated},
    {"", &undated},
};

static void tells_what_a_machine_type_means(void **state)
{
    static const struct {
        const char *name;
        size_t at;
    } members[] = {
        {"flush_word", offsetof(struct dialect, flush_word)},
        {"zeros_in_packets", offsetof(struct dialect, zeros_in_packets)},
        {"switchover_start", offsetof(struct dialect, switchover_start)},
        {"ack_awaited", offsetof(struct dialect, ack_awaited)},
        {"ack_unasked", offsetof(struct dialect, ack_unasked)},
        {"clean_tls_end", offsetof(struct dialect, clean_tls_end)},
    };
    _Static_assert(sizeof(struct dialect) == ARRAY_LEN(members) * sizeof(bool), "all members");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dialect_cases); i++) {
        const struct dialect_case *c = &dialect_cases[i];
        const struct dialect *found = dialect_of(c->machine);

        for (size_t k = 0; k < ARRAY_LEN(members); k++) {
            bool is = *(const bool *)((const char *)found + members[k].at);
            bool want = *(const bool *)((const char *)c->want + members[k].at);

            CHECK(is == want, "'%s': %s is %d, expected %d", c->machine, members[k].name, is, want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_a_machine_type_means),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
