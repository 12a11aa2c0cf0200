#include "vmm/guest/registers.h"

#define VECTORS          8
#define FIRST_VECTOR     8
#define VECTOR_WORDS_MAX 8
#define MASKS            4
#define FIRST_MASK       4
#define GENERALS         8
#define FIRST_GENERAL    8

/* Rounds towards zero, otherwise the reset value: nothing else loads this value by chance. */
#define MXCSR 0x7f80U

/* CPUID and XCR0 (Intel SDM, volume 1, 13 and 14). */
#define FEATURES_ECX_OSXSAVE (1U << 27)
#define EXTENDED_EBX_AVX2    (1U << 5)
#define EXTENDED_EBX_AVX512F (1U << 16)
#define XCR0_AVX             0x6U
#define XCR0_AVX512          0xe6U

static void cpuid(uint32_t leaf, uint32_t *ret_ebx, uint32_t *ret_ecx)
{
    uint32_t eax = leaf, ebx, ecx = 0, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    *ret_ebx = ebx;
    *ret_ecx = ecx;
}

static uint32_t usable_vectors(void)
{
    uint32_t ebx, ecx, low, high;

    cpuid(1, &ebx, &ecx);
    if (!(ecx & FEATURES_ECX_OSXSAVE))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static void find_out(struct registers *r)
{
    uint32_t usable = usable_vectors(), ebx, ecx;

    cpuid(7, &ebx, &ecx);
    r->has_avx2 = (ebx & EXTENDED_EBX_AVX2) && (usable & XCR0_AVX) == XCR0_AVX;
    if (r->has_avx2 && (ebx & EXTENDED_EBX_AVX512F) && (usable & XCR0_AVX512) == XCR0_AVX512)
        r->vector_bytes = 64;
    else
        r->vector_bytes = r->has_avx2 ? 32 : 16;
}

/* --- vector registers ------------------------------------------------------------------------ */

#define ALL_VECTORS(insn, kind, bytes, load)                                                       \
    __asm__ volatile(                                                                              \
        VECTOR(insn, kind, 8, bytes * 0, load) VECTOR(insn, kind, 9, bytes * 1, load)              \
            VECTOR(insn, kind, 10, bytes * 2, load) VECTOR(insn, kind, 11, bytes * 3, load)        \
                VECTOR(insn, kind, 12, bytes * 4, load) VECTOR(insn, kind, 13, bytes * 5, load)    \
                    VECTOR(insn, kind, 14, bytes * 6, load)                                        \
                        VECTOR(insn, kind, 15, bytes * 7, load)                                    \
        :                                                                                          \
        : "r"(words)                                                                               \
        : "memory")
#define VECTOR(insn, kind, number, offset, load) VECTOR_##load(insn, #kind #number, #offset)
#define VECTOR_LOAD(insn, name, offset)          insn " " offset "(%0), %%" name "\n\t"
#define VECTOR_STORE(insn, name, offset)         insn " %%" name ", " offset "(%0)\n\t"

static void load_vectors(unsigned bytes, const uint64_t *words)
{
    if (bytes == 64)
        ALL_VECTORS("vmovdqu64", zmm, 64, LOAD);
    else if (bytes == 32)
        ALL_VECTORS("vmovdqu", ymm, 32, LOAD);
    else
        ALL_VECTORS("movdqu", xmm, 16, LOAD);
}

static void store_vectors(unsigned bytes, uint64_t *words)
{
    if (bytes == 64)
        ALL_VECTORS("vmovdqu64", zmm, 64, STORE);
    else if (bytes == 32)
        ALL_VECTORS("vmovdqu", ymm, 32, STORE);
    else
        ALL_VECTORS("movdqu", xmm, 16, STORE);
}

static unsigned vector_words(const struct registers *r)
{
    return VECTORS * r->vector_bytes / 8;
}

static uint64_t vector_word(const struct registers *r, unsigned i)
{
    return guest_mix(r->seed + i);
}

static void fill_vectors(const struct registers *r)
{
    uint64_t words[VECTORS * VECTOR_WORDS_MAX];

    for (unsigned i = 0; i < vector_words(r); i++)
        words[i] = vector_word(r, i);
    load_vectors(r->vector_bytes, words);
}

/* True if all are right. */
static bool check_vectors(const struct registers *r)
{
    uint64_t words[VECTORS * VECTOR_WORDS_MAX];
    bool right = true;

    store_vectors(r->vector_bytes, words);
    for (unsigned i = 0; i < vector_words(r); i++) {
        uint64_t number = FIRST_VECTOR + i / (r->vector_bytes / 8);

        if (words[i] == vector_word(r, i))
            continue;
        guest_say(GUEST_PORT_WRONG_STATE, GUEST_STATE_OF(GUEST_STATE_VECTOR, number), words[i],
                  vector_word(r, i));
        right = false;
    }
    return right;
}

/* --- masks and MXCSR ------------------------------------------------------------------------- */

/* 16 bits of each mask register: AVX-512F has no more. */
static void fill_masks(const struct registers *r)
{
    uint64_t all = guest_mix(~r->seed);

    if (r->vector_bytes == 64)
        __asm__ volatile("kmovw %0, %%k4\n\tkmovw %1, %%k5\n\tkmovw %2, %%k6\n\tkmovw %3, %%k7"
                         :
                         : "r"((uint32_t)(all & 0xffff)), "r"((uint32_t)(all >> 16 & 0xffff)),
                           "r"((uint32_t)(all >> 32 & 0xffff)), "r"((uint32_t)(all >> 48)));
}

static bool check_masks(const struct registers *r)
{
    uint64_t all = guest_mix(~r->seed);
    uint32_t found[MASKS];
    bool right = true;

    if (r->vector_bytes < 64)
        return true;
    __asm__ volatile("kmovw %%k4, %0\n\tkmovw %%k5, %1\n\tkmovw %%k6, %2\n\tkmovw %%k7, %3"
                     : "=r"(found[0]), "=r"(found[1]), "=r"(found[2]), "=r"(found[3]));
    for (unsigned i = 0; i < MASKS; i++) {
        uint64_t expected = all >> 16 * i & 0xffff;

        if (found[i] == expected)
            continue;
        guest_say(GUEST_PORT_WRONG_STATE,
                  GUEST_STATE_OF(GUEST_STATE_MASK, (uint64_t)FIRST_MASK + i), found[i], expected);
        right = false;
    }
    return right;
}

static void fill_mxcsr(void)
{
    uint32_t value = MXCSR;

    __asm__ volatile("ldmxcsr %0" : : "m"(value));
}

static bool check_mxcsr(void)
{
    uint32_t found;

    __asm__ volatile("stmxcsr %0" : "=m"(found));
    if (found == MXCSR)
        return true;
    guest_say(GUEST_PORT_WRONG_STATE, GUEST_STATE_MXCSR, found, MXCSR);
    return false;
}

/* --- all of them ----------------------------------------------------------------------------- */

static void fill(const struct registers *r)
{
    fill_vectors(r);
    fill_masks(r);
    fill_mxcsr();
}

void registers_init(struct registers *r, uint64_t seed)
{
    r->seed = guest_mix(seed);
    find_out(r);
    fill(r);
}

void registers_check(const struct registers *r)
{
    bool vectors = check_vectors(r), masks = check_masks(r), mxcsr = check_mxcsr();

    if (!vectors || !masks || !mxcsr)
        fill(r);
}

/* Loads r8 to r15, waits by the one instruction that may take long, and stores them. */
static void wait_with(uint64_t pattern, uint64_t ticks, uint64_t ret[GENERALS])
{
    __asm__ volatile("mov %%rsi, %%r8\n\t"
                     "lea 1(%%rsi), %%r9\n\t"
                     "lea 2(%%rsi), %%r10\n\t"
                     "lea 3(%%rsi), %%r11\n\t"
                     "lea 4(%%rsi), %%r12\n\t"
                     "lea 5(%%rsi), %%r13\n\t"
                     "lea 6(%%rsi), %%r14\n\t"
                     "lea 7(%%rsi), %%r15\n\t"
                     "outl %%eax, %%dx\n\t"
                     "mov %%r8, (%%rbx)\n\t"
                     "mov %%r9, 8(%%rbx)\n\t"
                     "mov %%r10, 16(%%rbx)\n\t"
                     "mov %%r11, 24(%%rbx)\n\t"
                     "mov %%r12, 32(%%rbx)\n\t"
                     "mov %%r13, 40(%%rbx)\n\t"
                     "mov %%r14, 48(%%rbx)\n\t"
                     "mov %%r15, 56(%%rbx)"
                     :
                     : "a"(0), "d"(GUEST_PORT_WAIT), "D"(ticks), "S"(pattern), "b"(ret)
                     : "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
}

void registers_wait(const struct registers *r, uint64_t ticks)
{
    uint64_t found[GENERALS], pattern = guest_mix(r->seed ^ ticks);

    wait_with(pattern, ticks, found);
    for (unsigned i = 0; i < GENERALS; i++) {
        if (found[i] != pattern + i)
            guest_say(GUEST_PORT_WRONG_STATE,
                      GUEST_STATE_OF(GUEST_STATE_GENERAL, (uint64_t)FIRST_GENERAL + i), found[i],
                      pattern + i);
    }
}
