/*
 * ram/zero_page.h: tells whether a page is all zeros, with the widest vectors that the CPU has.
 */
#pragma once

#include <stdbool.h>

/* `page` is RAM_PAGE_SIZE bytes, 64-byte aligned. The guest may write it meanwhile: then the answer
 * may be wrong, but the write makes the page dirty again. */
bool zero_page(const void *page);

/* The method in use, chosen at the first call: "avx512", "avx2" or "portable". */
const char *zero_page_method(void);

/* All methods, for tests; fn is NULL if this CPU does not have it. A NULL name ends the list. */
struct zero_page_method {
    const char *name;
    bool (*fn)(const void *page);
};
const struct zero_page_method *zero_page_methods(void);
