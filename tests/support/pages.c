#include "tests/support/pages.h"

#include "tests/support/temp.h"
#include "tests/support/test.h"

#define GUARD_LEN  64
#define GUARD_BYTE 0xa5

const char *const page_kinds[PAGES_KINDS] = {
    [PAGES_SPARSE] = "sparse", [PAGES_CONSTANT] = "constant", [PAGES_RANDOM] = "random",
    [PAGES_TEXT] = "text",     [PAGES_ELF] = "ELF",           [PAGES_INTEGERS] = "integers",
    [PAGES_MIXED] = "mixed",
};

uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static void fill_sparse(uint8_t *page, uint64_t state)
{
    memset(page, 0, PAGE);
    for (size_t i = 0; i < 8; i++)
        page[next_random(&state) % PAGE] = (uint8_t)next_random(&state);
}

static void fill_constant(uint8_t *page, uint64_t state)
{
    memset(page, (int)(next_random(&state) & 0xff), PAGE);
}

static void fill_random(uint8_t *page, uint64_t state)
{
    for (size_t i = 0; i < PAGE; i += sizeof(uint64_t)) {
        uint64_t word = next_random(&state);

        memcpy(page + i, &word, sizeof(word));
    }
}

static void fill_text(uint8_t *page, uint64_t state)
{
    static const char *const words[] = {"memory", "page",  "channel", "guest", "stream", "of",
                                        "the",    "which", "and",     "a",     "moves",  "0x7f"};

    for (size_t at = 0; at < PAGE;) {
        const char *word = words[next_random(&state) % ARRAY_LEN(words)];
        size_t len = MIN(strlen(word), PAGE - at);

        memcpy(page + at, word, len);
        at += len;
        if (at < PAGE)
            page[at++] = next_random(&state) % 12 ? ' ' : '\n';
    }
}

static void fill_elf(uint8_t *page, uint64_t state)
{
    static struct buf self;

    if (!self.data)
        self = file_bytes("/proc/self/exe");
    memcpy(page, self.data + next_random(&state) % (self.len / PAGE) * PAGE, PAGE);
}

/* Typical heap contents. */
static void fill_integers(uint8_t *page, uint64_t state)
{
    struct record {
        uint64_t id, next;
        uint32_t len;
        uint16_t flags, count;
    } record = {next_random(&state) & 0xffffff, 0, 0, 0, 0};

    for (size_t at = 0; at + sizeof(record) <= PAGE; at += sizeof(record)) {
        uint64_t r = next_random(&state);

        record.id++;
        record.next = 0x7f0000000000 + (r & 0xffff) * sizeof(record);
        record.len = (uint32_t)(r >> 16 & 0xfff);
        record.flags = (uint16_t)(1U << (r >> 28 & 3));
        record.count = (uint16_t)(r >> 30 & 7);
        memcpy(page + at, &record, sizeof(record));
    }
}

static void (*const fillers[])(uint8_t *page, uint64_t state) = {
    [PAGES_SPARSE] = fill_sparse, [PAGES_CONSTANT] = fill_constant,
    [PAGES_RANDOM] = fill_random, [PAGES_TEXT] = fill_text,
    [PAGES_ELF] = fill_elf,       [PAGES_INTEGERS] = fill_integers,
};
_Static_assert(ARRAY_LEN(fillers) == PAGES_MIXED, "all but the mix");

void pages_fill(uint8_t *to, size_t n_pages, enum page_kind kind, uint64_t seed)
{
    memset(to, 0, n_pages * PAGE);
    for (size_t i = 0; i < n_pages; i++) {
        uint64_t state = (seed * 1000003 + i + 1) * UINT64_C(0x9e3779b97f4a7c15);

        (void)next_random(&state);
        fillers[kind == PAGES_MIXED ? i % PAGES_MIXED : kind](to + i * PAGE, state);
    }
}

void places_init(struct places *p, size_t total, size_t n)
{
    *p = (struct places){.n = n, .total = total, .arena_len = total + (n + 1) * GUARD_LEN};
    CHECK(n > 0 && n <= ARRAY_LEN(p->iov) && total >= n, "%zu bytes in %zu pieces", total, n);
    p->arena = malloc(p->arena_len);
    CHECK(p->arena, "no memory");

    uint8_t *at = p->arena + GUARD_LEN;
    for (size_t i = 0; i < n; i++) {
        size_t len = i + 1 < n ? total / n : total - total / n * (n - 1);

        p->iov[i] = (struct iovec){at, len};
        at += len + GUARD_LEN;
    }
    places_clear(p);
}

void places_done(struct places *p)
{
    free(p->arena);
}

void places_clear(struct places *p)
{
    memset(p->arena, GUARD_BYTE, p->arena_len);
}

static void check_guard(const char *label, const uint8_t *at)
{
    for (size_t i = 0; i < GUARD_LEN; i++)
        CHECK(at[i] == GUARD_BYTE, "%s: wrote outside of its places", label);
}

void places_check_guards(const char *label, const struct places *p)
{
    check_guard(label, p->arena);
    for (size_t i = 0; i < p->n; i++)
        check_guard(label, (uint8_t *)p->iov[i].iov_base + p->iov[i].iov_len);
}

void places_check_hold(const char *label, const struct places *p, const uint8_t *bytes)
{
    places_check_guards(label, p);
    for (size_t i = 0; i < p->n; i++) {
        CHECK(memcmp(p->iov[i].iov_base, bytes, p->iov[i].iov_len) == 0, "%s: piece %zu differs",
              label, i);
        bytes += p->iov[i].iov_len;
    }
}
