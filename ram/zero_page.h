/*
 * ram/zero_page.h: is this page all zeros? By the widest vectors that the CPU has.
 */
#pragma once

#include <stdbool.h>

/* `page` is RAM_PAGE_SIZE bytes, 64-byte aligned. Somebody may be writing it: the answer is then
 * of some moment in between, and the write makes the page dirty again. */
bool zero_page(const void *page);

/* What was chosen at the first call: "avx512", "avx2" or "portable". */
const char *zero_page_method(void);

/* Each of them, for tests; fn is NULL where this CPU has not got it. NULL name ends the list. */
struct zero_page_method {
    const char *name;
    bool (*fn)(const void *page);
};
const struct zero_page_method *zero_page_methods(void);
