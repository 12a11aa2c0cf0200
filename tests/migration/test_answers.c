/* What the destination says at its end, as the source tells it. */
#include "migration/answers.h"

#include <sys/socket.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/fd.h"
#include "stream/return_path.h"
#include "tests/support/test.h"
#include "transport/engine.h"

static const struct verdict_case {
    const char *label;
    uint32_t verdict;
    const char *want;
} verdict_cases[] = {
    {"an errno", 28, "has failed: No space left on device (SHUT 28); see"},
    {"an errno, negated", (uint32_t)-5, "has failed: Input/output error (SHUT 4294967291); see"},
    {"QEMU's, of any error", 1, "has failed: it does not say why (SHUT 1); see"},
    {"not negatable", 0x80000000U, "error number -2147483648, which has no name (SHUT 2147483648)"},
    {"large", 0x7fffffffU, "error number 2147483647, which has no name (SHUT 2147483647)"},
    {"the kernel's own", 524, "error number 524, which has no name (SHUT 524)"},
};

static void verdict_in_words(const struct verdict_case *c)
{
    const struct engine_config config = {0};
    const struct engine *engine;
    struct answers answers = {0};
    struct channel_group group;
    struct channel *main;
    struct error err;
    uint8_t shut[8] = {0, 1, 0, 4};
    int pair[2];

    OK(channel_group_init(&group, 0, &err), err, c->label);
    OK(engine_find("socket", &engine, &err), err, c->label);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    OK(engine->open(pair[0], &config, &main, &err), err, c->label);
    OK(channel_group_add(&group, main, &err), err, c->label);
    OK(answers_start(&answers, &group, main, &err), err, c->label);
    for (size_t i = 0; i < 4; i++)
        shut[4 + i] = (uint8_t)(c->verdict >> (24 - 8 * i));
    assert_int_equal(send(pair[1], shut, sizeof(shut), MSG_NOSIGNAL), sizeof(shut));
    answers_end(&answers);
    CHECK(channel_group_check(&group, &err) < 0, "%s: no failure", c->label);
    CHECK(strstr(err.text, c->want), "%s: %s", c->label, err.text);
    CHECK(!strstr(err.text, "Success"), "%s: %s", c->label, err.text);
    close(pair[1]);
    channel_group_drop(&group, main);
    channel_group_done(&group);
}

static void verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verdict_cases); i++)
        verdict_in_words(&verdict_cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(verdicts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
