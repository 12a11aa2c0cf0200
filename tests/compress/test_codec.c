/* Every implementation of a format unpacks what any of them packed, at every level. */
#include "compress/codec.h"

#include "tests/support/methods.h"
#include "tests/support/pages.h"
#include "tests/support/test.h"

#define UNPACKERS_MAX 8

static void every_method_has_a_name(void **state)
{
    (void)state;
    for (unsigned m = 0; m < CODEC_N; m++)
        CHECK(codec_name((enum codec_method)m)[0], "method %u", m);
}

/* --- which codec is chosen ------------------------------------------------------------------- */

static const struct choice_case {
    const char *label;
    enum codec_method method;
    int level;
    const char *packs; /* NULL: no codec */
} choice_cases[] = {
    {"zlib 0", CODEC_ZLIB, 0, "zlib"},
    {"zlib 1", CODEC_ZLIB, 1, "igzip"},
    {"zlib 2", CODEC_ZLIB, 2, "igzip"},
    {"zlib 3", CODEC_ZLIB, 3, "zlib"},
    {"zlib 9", CODEC_ZLIB, 9, "zlib"},
    {"zlib 10", CODEC_ZLIB, 10, NULL},
    {"zlib -1", CODEC_ZLIB, -1, NULL},
    {"zstd -131072", CODEC_ZSTD, -131072, "zstd"},
    {"zstd -131073", CODEC_ZSTD, -131073, NULL},
    {"zstd 20", CODEC_ZSTD, 20, "zstd"},
    {"zstd 21", CODEC_ZSTD, 21, NULL},
    {"none", CODEC_NONE, 0, NULL},
    {"qpl", CODEC_QPL, 1, NULL},
};

static void the_best_one_is_chosen(void **state)
{
    size_t n;
    bool vectors = strcmp(codec_implementations(&n)[0]->name, "igzip") == 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(choice_cases); i++) {
        const struct choice_case *c = &choice_cases[i];
        const struct codec_ops *found = codec_packing(c->method, c->level);
        const char *want = c->packs && !vectors && c->method == CODEC_ZLIB ? "zlib" : c->packs;

        if (c->packs && !method_is_here(c->label, c->method))
            continue;
        CHECK(!found == !want, "%s: %s, expected %s", c->label, found ? found->name : "nobody",
              want ? want : "nobody");
        if (want)
            assert_string_equal(found->name, want);
    }
}

/* Which of them a build has, and how they are told. zstd may be missing. */
static void methods_are_told(void **state)
{
    bool zstd = codec_built(CODEC_ZSTD);
    char list[64];

    (void)state;
    for (unsigned m = 0; m < CODEC_N; m++) {
        enum codec_method method = (enum codec_method)m;
        bool want = m == CODEC_NONE || m == CODEC_ZLIB || (m == CODEC_ZSTD && zstd);

        CHECK(codec_built(method) == want, "%s", codec_name(method));
        CHECK(!codec_absence(method) == want, "%s: why it is absent", codec_name(method));
    }
    codec_list_built(list, sizeof(list));
    assert_string_equal(list, zstd ? "none, zlib or zstd" : "none or zlib");
    codec_list_built(list, 5);
    assert_string_equal(list, "none");
}

/* --- there and back -------------------------------------------------------------------------- */

static const struct level_case {
    const char *packer;
    int levels[9];
    size_t n;
} level_cases[] = {
    {"igzip", {1, 2}, 2},
    {"zlib", {0, 1, 2, 6, 9}, 5},
    {"zstd", {-131072, -20, -5, -1, 0, 1, 3, 20}, 8},
};

/* Packets of one stream, in pages: short ones after long ones, and long ones after short ones. */
static const size_t packets[] = {1, 128, 2, 7, 127};

static const size_t layouts[] = {1, 3, 0}; /* pieces of a packet's place; 0: one for each page */

/* One for each way of unpacking; all get the same stream. */
struct receiver {
    char label[64];
    struct unpacker *unpacker;
    size_t layout;
};

static size_t start_receivers(const struct codec_ops *from, int level,
                              struct receiver to[static UNPACKERS_MAX])
{
    size_t n_all, n = 0;
    const struct codec_ops *const *all = codec_implementations(&n_all);
    struct error err;

    for (size_t i = 0; i < n_all; i++) {
        for (size_t k = 0; k < ARRAY_LEN(layouts) && all[i]->method == from->method; k++) {
            struct receiver *r = &to[n++];

            snprintf(r->label, sizeof(r->label), "%s %d to %s, layout %zu", from->name, level,
                     all[i]->name, layouts[k]);
            OK(all[i]->unpacker_new(&r->unpacker, &err), err, r->label);
            r->layout = layouts[k];
        }
    }
    return n;
}

static void check_unpacks(const struct receiver *r, const uint8_t *packed, size_t len,
                          const uint8_t *pages, size_t n_pages)
{
    struct places places;
    struct error err;

    places_init(&places, n_pages * PAGE, r->layout ? MIN(r->layout, n_pages) : n_pages);
    memcpy(unpacker_input(r->unpacker), packed, len);
    OK(unpacker_unpack(r->unpacker, len, places.iov, places.n, &err), err, r->label);
    places_check_hold(r->label, &places, pages);
    places_done(&places);
}

/* Every kind of page, in packets of every size, all in one stream. */
static void check_level(const struct codec_ops *from, int level)
{
    static uint8_t pages[CODEC_INPUT_MAX];
    struct receiver to[UNPACKERS_MAX];
    struct packer *packer;
    struct error err;

    OK(from->packer_new(level, &packer, &err), err, from->name);
    size_t n = start_receivers(from, level, to);
    for (unsigned i = 0; i < PAGES_KINDS * ARRAY_LEN(packets); i++) {
        size_t n_pages = packets[i % ARRAY_LEN(packets)], len;
        const uint8_t *packed;

        pages_fill(pages, n_pages, i % PAGES_KINDS, i / 4); /* some repeat */
        memcpy(packer_input(packer), pages, n_pages * PAGE);
        OK(packer_pack(packer, n_pages * PAGE, &packed, &len, &err), err, from->name);
        CHECK(len > 0 && len <= CODEC_PACKED_MAX, "%s %d: %zu bytes", from->name, level, len);
        for (size_t k = 0; k < n; k++)
            check_unpacks(&to[k], packed, len, pages, n_pages);
    }
    for (size_t k = 0; k < n; k++)
        unpacker_free(to[k].unpacker);
    packer_free(packer);
}

static void what_one_packs_all_unpack(void **state)
{
    size_t n;
    const struct codec_ops *const *all = codec_implementations(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < ARRAY_LEN(level_cases); k++) {
            const struct level_case *c = &level_cases[k];

            for (size_t l = 0; l < c->n && strcmp(c->packer, all[i]->name) == 0; l++)
                check_level(all[i], c->levels[l]);
        }
    }
}

/* Input that cannot be packed grows only a little, and never beyond what a receiver accepts. */
static void what_does_not_shrink_stays_small(void **state)
{
    size_t n;
    const struct codec_ops *const *all = codec_implementations(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < ARRAY_LEN(level_cases); k++) {
            const struct level_case *c = &level_cases[k];

            for (size_t l = 0; l < c->n && strcmp(c->packer, all[i]->name) == 0; l++) {
                struct packer *packer;
                const uint8_t *packed;
                struct error err;
                size_t len;

                OK(all[i]->packer_new(c->levels[l], &packer, &err), err, c->packer);
                for (unsigned round = 0; round < 4; round++) {
                    pages_fill(packer_input(packer), 128, PAGES_RANDOM, round);
                    OK(packer_pack(packer, CODEC_INPUT_MAX, &packed, &len, &err), err, c->packer);
                    CHECK(len < CODEC_INPUT_MAX + CODEC_INPUT_MAX / 64, "%s %d: %zu bytes",
                          c->packer, c->levels[l], len);
                }
                packer_free(packer);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_a_name),
        cmocka_unit_test(the_best_one_is_chosen),
        cmocka_unit_test(methods_are_told),
        cmocka_unit_test(what_one_packs_all_unpack),
        cmocka_unit_test(what_does_not_shrink_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
