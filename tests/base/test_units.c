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

/* --- for people ------------------------------------------------------------------------------ */

struct text_case {
    uint64_t number;
    const char *want;
};

static const struct text_case size_texts[] = {
    {0, "0 B"},
    {1, "1 B"},
    {999, "999 B"},
    {1000, "1.00 kB"},
    {1001, "1.00 kB"},
    {9994, "9.99 kB"},
    {9995, "10.0 kB"},
    {23449, "23.4 kB"},
    {99949, "99.9 kB"},
    {99951, "100 kB"},
    {999499, "999 kB"},
    {999500, "1.00 MB"},
    {69905424, "69.9 MB"},
    {UINT64_C(999499999), "999 MB"},
    {UINT64_C(1234567890), "1.23 GB"},
    {UINT64_C(45600000000000), "45.6 TB"},
    {UINT64_C(7000000000000000), "7.00 PB"},
    {UINT64_MAX, "18.4 EB"},
};

static const struct text_case rate_texts[] = {
    {0, "0 B/s"},
    {512, "512 B/s"},
    {12500000, "12.5 MB/s"},
    {UINT64_C(1210000000), "1.21 GB/s"},
    {UINT64_MAX, "18.4 EB/s"},
};

static const struct text_case memory_texts[] = {
    {0, "0 B"},
    {1023, "1023 B"},
    {4 * KI, "4 KiB"},
    {4 * KI + 1, "4.00 KiB"},
    {64 * KI * KI, "64 MiB"},
    {1023 * KI * KI, "1023 MiB"},
    {1536 * KI * KI, "1.50 GiB"},
    {24 * KI * KI * KI, "24 GiB"},
    {UINT64_MAX, "16.0 EiB"},
};

static const struct text_case time_texts[] = {
    {0, "0 ms"},
    {999, "999 ms"},
    {1000, "1.00 s"},
    {12345, "12.3 s"},
    {59949, "59.9 s"},
    {59950, "1 min"},
    {60499, "1 min"},
    {60500, "1 min 1 s"},
    {125000, "2 min 5 s"},
    {7200000, "120 min"},
    {UINT64_MAX, "307445734561825 min 52 s"},
};

static const struct text_case short_time_texts[] = {
    {0, "0 ms"},        {1, "0.001 ms"},
    {850, "0.850 ms"},  {1000, "1.00 ms"},
    {12345, "12.3 ms"}, {999499, "999 ms"},
    {999500, "1.00 s"}, {UINT64_MAX, "307445734561 min 50 s"},
};

static void check_texts(const char *what, const struct text_case *cases, size_t n,
                        const char *(*text)(uint64_t, char[static UNIT_TEXT_LEN]))
{
    char found[UNIT_TEXT_LEN];

    for (size_t i = 0; i < n; i++) {
        CHECK(strcmp(text(cases[i].number, found), cases[i].want) == 0, "%s %llu: %s, not %s", what,
              (unsigned long long)cases[i].number, found, cases[i].want);
    }
}

static void texts(void **state)
{
    (void)state;
    check_texts("size", size_texts, ARRAY_LEN(size_texts), size_text);
    check_texts("rate", rate_texts, ARRAY_LEN(rate_texts), rate_text);
    check_texts("memory", memory_texts, ARRAY_LEN(memory_texts), memory_text);
    check_texts("time", time_texts, ARRAY_LEN(time_texts), time_text);
    check_texts("short time", short_time_texts, ARRAY_LEN(short_time_texts), short_time_text);
}

static void rates_over_a_time(void **state)
{
    char text[UNIT_TEXT_LEN];

    (void)state;
    assert_string_equal(rate_over_text(1500000, 500, text), "3.00 MB/s");
    assert_string_equal(rate_over_text(1500000, 0, text), "1.50 GB/s");
    assert_string_equal(rate_over_text(0, 0, text), "0 B/s");
    assert_string_equal(rate_over_text(UINT64_MAX, 0, text), "18.4 EB/s");
}

static void counts(void **state)
{
    char text[COUNT_TEXT_LEN];

    (void)state;
    assert_string_equal(count_text(0, "page", text), "0 pages");
    assert_string_equal(count_text(1, "page", text), "1 page");
    assert_string_equal(count_text(2, "vCPU", text), "2 vCPUs");
    assert_string_equal(
        count_text(UINT64_MAX, "word that is far too long to be of any use here", text),
        "18446744073709551615 word that is far too long to be of any us");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units),
        cmocka_unit_test(texts),
        cmocka_unit_test(rates_over_a_time),
        cmocka_unit_test(counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
