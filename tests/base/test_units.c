#include "base/units.h"

#include "tests/support/test.h"

#define KI UINT64_C(1024)

static const struct unit_case {
    const char *text;
    uint64_t want;
    bool good;
} size_cases[] = {
    {"0", 0, true},
    {"512", 512, true},
    {"512B", 512, true},
    {"4096K", 4096 * KI, true},
    {"4096KiB", 4096 * KI, true},
    {"512M", 512 * KI *KI, true},
    {"512m", 512 * KI *KI, true},
    {"2G", 2 * KI *KI *KI, true},
    {"1.5G", 1536 * KI *KI, true},
    {"1T", KI *KI *KI *KI, true},
    {"18446744073709551616", 0, false},
    {"99999999T", 0, false},
    {"", 0, false},
    {"G", 0, false},
    {"-1", 0, false},
    {"+1", 0, false},
    {" 1", 0, false},
    {"1 ", 0, false},
    {"1X", 0, false},
    {"1MM", 0, false},
    {"nan", 0, false},
    {"inf", 0, false},
};

static const struct unit_case rate_cases[] = {
    {"0", 0, true},
    {"200M", 200 * KI *KI, true},
    {"200M/s", 200 * KI *KI, true},
    {"200MiB/s", 200 * KI *KI, true},
    {"8bit", 1, true},
    {"10Gbit", 1250000000, true},
    {"10Gbit/s", 1250000000, true},
    {"2.5gbit", 312500000, true},
    {"100Mbit", 12500000, true},
    {"/s", 0, false},
    {"10Gbits", 0, false},
    {"10Gbit/min", 0, false},
    {"10Gbit/s/s", 0, false},
    {"1 Gbit", 0, false},
    {"", 0, false},
    {"fast", 0, false},
};

static const struct unit_case duration_cases[] = {
    {"0", 0, true},         {"30", 30000, true}, /* without a unit: seconds, here */
    {"300ms", 300, true},   {"1.5s", 1500, true},
    {"2min", 120000, true}, {"0.5ms", 1, true},
    {"1h", 0, false},       {"", 0, false},
    {"ms", 0, false},       {"-1s", 0, false},
    {"1s1", 0, false},      {"99999999999999999999min", 0, false},
};

static const struct unit_case number_cases[] = {
    {"0", 0, true},     {"255", 255, true},
    {"256", 0, false},  {"-0", 0, false},
    {"+1", 0, false},   {" 1", 0, false},
    {"1x", 0, false},   {"", 0, false},
    {"0x10", 0, false}, {"99999999999999999999", 0, false},
};

static int seconds(const char *text, uint64_t *ret, struct error *err)
{
    return parse_duration(text, 1000, ret, err);
}

static int byte(const char *text, uint64_t *ret, struct error *err)
{
    return parse_number(text, 255, ret, err);
}

static void check_cases(const char *what, const struct unit_case *cases, size_t n,
                        int (*parse)(const char *, uint64_t *, struct error *))
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value = 77;
        struct error err;
        int rc = parse(cases[i].text, &value, &err);

        if (cases[i].good) {
            CHECK(rc == 0 && value == cases[i].want, "%s '%s': rc %d, %llu", what, cases[i].text,
                  rc, (unsigned long long)value);
        } else {
            check_refused(cases[i].text, rc, &err, ERR_USAGE, "expected a");
            CHECK(value == 77, "%s '%s': the result was touched", what, cases[i].text);
        }
    }
}

static void units(void **state)
{
    (void)state;
    check_cases("size", size_cases, ARRAY_LEN(size_cases), parse_size);
    check_cases("rate", rate_cases, ARRAY_LEN(rate_cases), parse_rate);
    check_cases("duration", duration_cases, ARRAY_LEN(duration_cases), seconds);
    check_cases("number", number_cases, ARRAY_LEN(number_cases), byte);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(units)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
