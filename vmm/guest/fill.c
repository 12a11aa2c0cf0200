#include "vmm/guest/fill.h"

static void write_words(volatile uint64_t *words, uint64_t value, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++, value += FILL_STEP)
        words[i] = value;
}

static void write_sse(volatile uint64_t *words, uint64_t value, uint64_t n)
{
    const uint64_t lanes[] = {value, value + FILL_STEP, 2 * FILL_STEP, 2 * FILL_STEP};

    __asm__ volatile("movdqu (%2), %%xmm0\n\t"
                     "movdqu 16(%2), %%xmm1\n"
                     "1:\tmovdqu %%xmm0, (%0)\n\t"
                     "paddq %%xmm1, %%xmm0\n\t"
                     "add $16, %0\n\t"
                     "sub $2, %1\n\t"
                     "jnz 1b"
                     : "+r"(words), "+r"(n)
                     : "r"(lanes)
                     : "memory", "cc");
}

static void write_avx(volatile uint64_t *words, uint64_t value, uint64_t n)
{
    const uint64_t lanes[] = {
        value,         value + FILL_STEP, value + 2 * FILL_STEP, value + 3 * FILL_STEP,
        4 * FILL_STEP, 4 * FILL_STEP,     4 * FILL_STEP,         4 * FILL_STEP};

    __asm__ volatile("vmovdqu (%2), %%ymm0\n\t"
                     "vmovdqu 32(%2), %%ymm1\n"
                     "1:\tvmovdqu %%ymm0, (%0)\n\t"
                     "vpaddq %%ymm1, %%ymm0, %%ymm0\n\t"
                     "add $32, %0\n\t"
                     "sub $4, %1\n\t"
                     "jnz 1b"
                     : "+r"(words), "+r"(n)
                     : "r"(lanes)
                     : "memory", "cc");
}

void fill_words(uint64_t with, volatile uint64_t *words, uint64_t value, uint64_t n)
{
    if (with == GUEST_WRITE_AVX)
        write_avx(words, value, n);
    else if (with == GUEST_WRITE_SSE)
        write_sse(words, value, n);
    else
        write_words(words, value, n);
}
