#include "ram/zero_page.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "ram/block.h"

/* Most pages that are not zero differ in their first word already. */
static inline bool first_word_zero(const void *page)
{
    return *(const volatile uint64_t *)page == 0;
}

static bool zero_portable(const void *page)
{
    const uint64_t *word = page;

    if (!first_word_zero(page))
        return false;
    for (size_t i = 0; i < RAM_PAGE_SIZE / sizeof(*word); i += 8) {
        if (word[i] | word[i + 1] | word[i + 2] | word[i + 3] | word[i + 4] | word[i + 5] |
            word[i + 6] | word[i + 7])
            return false;
    }
    return true;
}

#ifdef __x86_64__
#include <immintrin.h>

__attribute__((target("avx2"))) static bool zero_avx2(const void *page)
{
    const __m256i *v = page;

    if (!first_word_zero(page))
        return false;
    for (size_t i = 0; i < RAM_PAGE_SIZE / sizeof(*v); i += 8) {
        __m256i a = _mm256_or_si256(v[i], v[i + 1]), b = _mm256_or_si256(v[i + 2], v[i + 3]);
        __m256i c = _mm256_or_si256(v[i + 4], v[i + 5]), d = _mm256_or_si256(v[i + 6], v[i + 7]);
        __m256i all = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));

        if (!_mm256_testz_si256(all, all))
            return false;
    }
    return true;
}

__attribute__((target("avx512f"))) static bool zero_avx512(const void *page)
{
    const __m512i *v = page;

    if (!first_word_zero(page))
        return false;
    for (size_t i = 0; i < RAM_PAGE_SIZE / sizeof(*v); i += 8) {
        __m512i a = _mm512_or_si512(v[i], v[i + 1]), b = _mm512_or_si512(v[i + 2], v[i + 3]);
        __m512i c = _mm512_or_si512(v[i + 4], v[i + 5]), d = _mm512_or_si512(v[i + 6], v[i + 7]);
        __m512i all = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));

        if (_mm512_test_epi64_mask(all, all))
            return false;
    }
    return true;
}
#endif

/* The widest vectors first. */
static struct zero_page_method methods[] = {
#ifdef __x86_64__
    {"avx512", zero_avx512},
    {"avx2", zero_avx2},
#endif
    {"portable", zero_portable},
    {NULL, NULL},
};
static const struct zero_page_method *chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
#ifdef __x86_64__
    if (!__builtin_cpu_supports("avx512f"))
        methods[0].fn = NULL;
    if (!__builtin_cpu_supports("avx2"))
        methods[1].fn = NULL;
#endif
    chosen = methods;
    while (!chosen->fn)
        chosen++;
}

bool zero_page(const void *page)
{
    pthread_once(&once, choose);
    return chosen->fn(page);
}

const char *zero_page_method(void)
{
    pthread_once(&once, choose);
    return chosen->name;
}

const struct zero_page_method *zero_page_methods(void)
{
    pthread_once(&once, choose);
    return methods;
}
