#include "ram/zero_page.h"

#include "ram/block.h"
#include "tests/support/test.h"

static _Alignas(4096) uint8_t page[RAM_PAGE_SIZE];

/* One bit anywhere makes the page non-zero, for every method. */
static void methods_agree(void **state)
{
    unsigned n = 0;

    (void)state;
    for (const struct zero_page_method *m = zero_page_methods(); m->name; m++) {
        if (!m->fn) {
            print_message("%s: not on this CPU\n", m->name);
            continue;
        }
        n++;
        CHECK(m->fn(page), "%s: an empty page", m->name);
        for (unsigned bit = 0; bit < RAM_PAGE_SIZE * 8; bit++) {
            page[bit / 8] = (uint8_t)(1U << bit % 8);
            CHECK(!m->fn(page), "%s: bit %u is not seen", m->name, bit);
            page[bit / 8] = 0;
        }
        memset(page, 0xff, sizeof(page));
        CHECK(!m->fn(page), "%s: a full page", m->name);
        memset(page, 0, sizeof(page));
    }
    CHECK(n >= 1, "no method at all");
}

static void the_chosen_one_is_of_the_list(void **state)
{
    const struct zero_page_method *m = zero_page_methods();

    (void)state;
    while (m->name && strcmp(m->name, zero_page_method()) != 0)
        m++;
    CHECK(m->name && m->fn, "chosen: %s", zero_page_method());
    CHECK(zero_page(page), "an empty page");
    page[4095] = 1;
    CHECK(!zero_page(page), "its last byte");
    page[4095] = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(methods_agree),
                                       cmocka_unit_test(the_chosen_one_is_of_the_list)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
