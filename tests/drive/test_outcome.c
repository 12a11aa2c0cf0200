#include "drive/outcome.h"

#include "tests/support/test.h"

/* Whose reason comes first depends on this. */
static void echoes(void **state)
{
    static const struct {
        const char *reason;
        bool echo;
    } cases[] = {
        {"", true},
        {"Unable to write to socket: Broken pipe", true},
        {"Unable to write to socket: Connection reset by peer", true},
        {"Channel error: Input/output error", true},
        {"Sibling indicated error 1", true},
        {"channel 1: connect to 127.0.0.1:34913: Connection refused", true},
        {"main channel: the peer closed the connection, 8 more bytes expected", true},
        {"the destination has failed: Protocol error (SHUT 71); see its own message", true},
        {"load of migration failed: Input/output error", true},
        {"load of migration failed: Invalid argument", false},
        {"multifd: received uuid 'a' and expected uuid 'b' for channel 0", false},
        {"main channel: block 'pc.ram': 64 MiB, expected 32 MiB", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK(outcome_is_echo(cases[i].reason) == cases[i].echo, "%s", cases[i].reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(echoes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
