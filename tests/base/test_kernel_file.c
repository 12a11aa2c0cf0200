#include "base/kernel_file.h"

#include "tests/support/temp.h"
#include "tests/support/test.h"

static void reads_a_text(void **state)
{
    char path[PATH_MAX], text[8] = "before";

    (void)state;
    kernel_file_read(temp_path(path, "absent"), text, sizeof(text));
    assert_string_equal(text, "");
    file_write(temp_path(path, "long"), "0123456789", 10);
    kernel_file_read(path, text, sizeof(text));
    assert_string_equal(text, "0123456");
    kernel_file_read(temp_dir(), text, sizeof(text));
    assert_string_equal(text, "");
}

static const struct {
    const char *text, *key;
    uint64_t want;
} numbers[] = {
    {"MemFree:   12 kB\nMemAvailable: 34 kB\n", "MemAvailable:", 34},
    {"MemFree:   12 kB\nMemAvailable: 34 kB\n", "MemFree:", 12},
    {"Available: 1\n", "MemAvailable:", 0},
    {"HisMemFree: 1\nMemFree: 2", "MemFree:", 2},
    {"MemFree:", "MemFree:", 0},
    {"", "MemFree:", 0},
    {"\n\n", "MemFree:", 0},
};

static void finds_a_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uint64_t got = kernel_file_number(numbers[i].text, numbers[i].key);

        CHECK(got == numbers[i].want, "%s in '%s': %llu", numbers[i].key, numbers[i].text,
              (unsigned long long)got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_text),
        cmocka_unit_test(finds_a_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
