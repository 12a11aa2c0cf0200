/* Memory backends: their options, the addresses where they may be, adding and deleting. */
#include "vmm/memory_backends.h"

#include <inttypes.h>
#include <unistd.h>

#include "tests/support/temp.h"
#include "tests/support/test.h"
#include "vmm/machine_synth_guest.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* --- options --------------------------------------------------------------------------------- */

static const struct said_case {
    const char *text;
    struct memory_backend_config is;
} said_cases[] = {
    {"id=a,size=4096", {.id = "a", .bytes = 4096}},
    {"size=2M,id=a-1.b_", {.id = "a-1.b_", .bytes = 2 * MIB}},
    {"id=a,size=4M,kind=memfd,addr=256M",
     {.id = "a",
      .bytes = 4 * MIB,
      .kind = MEMORY_MEMFD,
      .mapped = true,
      .address = 256 * MIB,
      .migratable = true}},
    {"id=a,size=4M,addr=0x10000000,migratable=off",
     {.id = "a", .bytes = 4 * MIB, .mapped = true, .address = 0x10000000}},
    {"id=a,size=4M,kind=hugetlb,share=off",
     {.id = "a",
      .bytes = 4 * MIB,
      .kind = MEMORY_HUGETLB,
      .page_bytes = 2 * MIB,
      .sharing = MEMORY_PRIVATE}},
    {"id=a,size=1G,kind=hugetlb,page-size=1G",
     {.id = "a", .bytes = GIB, .kind = MEMORY_HUGETLB, .page_bytes = GIB}},
    {"id=a,size=4M,kind=file,path=/x,,y=z,share=on",
     {.id = "a",
      .bytes = 4 * MIB,
      .kind = MEMORY_FILE,
      .path = "/x,y=z",
      .sharing = MEMORY_SHARED}},
    {"id=a,size=4M,numa=0,,2-3", {.id = "a", .bytes = 4 * MIB, .numa = "0,2-3"}},
    {"id=a,size=4M,migratable=off", {.id = "a", .bytes = 4 * MIB}},
};

static void understands(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(said_cases); i++) {
        const struct said_case *c = &said_cases[i];
        struct memory_backend_config got;
        struct error err;

        OK(memory_backend_parse(c->text, &got, &err), err, c->text);
        CHECK(strcmp(got.id, c->is.id) == 0 && got.bytes == c->is.bytes, "%s: id, size", c->text);
        CHECK(got.kind == c->is.kind && got.page_bytes == c->is.page_bytes, "%s: kind", c->text);
        CHECK(got.sharing == c->is.sharing, "%s: share", c->text);
        CHECK(strcmp(got.path, c->is.path) == 0 && strcmp(got.numa, c->is.numa) == 0,
              "%s: '%s', '%s'", c->text, got.path, got.numa);
        CHECK(got.mapped == c->is.mapped && got.address == c->is.address, "%s: addr 0x%" PRIx64,
              c->text, got.address);
        CHECK(got.migratable == c->is.migratable, "%s: migratable", c->text);
    }
}

static const struct bad_case {
    const char *text, *part;
} bad_cases[] = {
    {"", "id is missing"},
    {"id=a", "size is missing"},
    {"size=4096", "id is missing"},
    {"id", "expected id=ID"},
    {"id=a,,size=4096", "a letter first"},
    {"id=,size=4096", "a letter first"},
    {"id=1,size=4096", "a letter first"},
    {"id=a/b,size=4096", "a letter first"},
    {"id=a,id=a,size=4096", "given twice"},
    {"id=a,size=x", "size"},
    {"id=a,size=4097", "multiple of 4096"},
    {"id=a,size=0", "multiple of 4096"},
    {"id=a,size=65T", "at most 64 TiB"},
    {"id=a,size=4096,kind=ram", "expected anon, memfd, hugetlb or file"},
    {"id=a,size=4096,kind=file", "a path"},
    {"id=a,size=4096,kind=memfd,path=/x", "a path"},
    {"id=a,size=4096,page-size=2M", "for huge pages"},
    {"id=a,size=4096,kind=hugetlb,page-size=4M", "expected 2M or 1G"},
    {"id=a,size=4096,share=yes", "expected on or off"},
    {"id=a,size=4096,migratable=on", "rule B1"},
    {"id=a,size=4096,addr=x", "addr"},
    {"id=a,size=4096,addr=-1", "addr"},
    {"id=a,size=4096,qom-type=memory-backend-ram", "there is no property 'qom-type'"},
    {"id=a,size=4096,slot=1", "there is no property 'slot'"},
};

static void refuses_what_is_wrong(void **state)
{
    struct memory_backend_config got;
    struct error err;
    char text[4096];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++)
        check_refused(bad_cases[i].text, memory_backend_parse(bad_cases[i].text, &got, &err), &err,
                      ERR_USAGE, bad_cases[i].part);
    /* Every length around each limit, also for the sanitizer. */
    for (int n = 200; n < 3000; n += n == 260 ? 700 : 1) {
        snprintf(text, sizeof(text), "size=4096,id=a%0*d", n, 0);
        CHECK((memory_backend_parse(text, &got, &err) == 0) == (n + 1 < RAM_BLOCK_NAME),
              "an id of %d bytes", n + 1);
    }
}

/* --- addresses ------------------------------------------------------------------------------- */

static const struct place_case {
    const char *label;
    uint64_t main_bytes;
    const char *backends[3];
    const char *part; /* a part of the refusal; NULL: it is accepted */
} place_cases[] = {
    {"behind main memory", 16 * MIB, {"id=a,size=2M,addr=16M"}, NULL},
    {"up to the devices", 16 * MIB, {"id=a,size=2M,addr=3070M"}, NULL},
    {"from 4 GiB on", 16 * MIB, {"id=a,size=2M,addr=4G"}, NULL},
    {"the last there is", 16 * MIB, {"id=a,size=2M,addr=0x7fffe00000"}, NULL},
    {"side by side", 16 * MIB, {"id=a,size=2M,addr=34M", "id=b,size=2M,addr=32M"}, NULL},
    {"behind much main memory", 4 * GIB, {"id=a,size=2M,addr=5G"}, NULL},
    {"over main memory", 16 * MIB, {"id=a,size=2M,addr=14M"}, "overlaps the guest's main memory"},
    {"over its upper part", 4 * GIB, {"id=a,size=2M,addr=4G"}, "overlaps the guest's main memory"},
    {"around it", 16 * MIB, {"id=a,size=32M,addr=2M"}, "overlaps the guest's main memory"},
    {"over devices", 16 * MIB, {"id=a,size=2M,addr=3G"}, "overlaps x86's devices"},
    {"into devices", 16 * MIB, {"id=a,size=4M,addr=3070M"}, "overlaps x86's devices"},
    {"over the local APIC", 16 * MIB, {"id=a,size=2M,addr=64G"}, "overlaps the local APIC"},
    {"past the end", 16 * MIB, {"id=a,size=4M,addr=0x7fffe00000"}, "expected below 512G"},
    {"far past the end", 16 * MIB, {"id=a,size=2M,addr=600G"}, "expected below 512G"},
    {"not aligned", 16 * MIB, {"id=a,size=2M,addr=33M"}, "expected multiples of 2M"},
    {"of an odd length", 16 * MIB, {"id=a,size=3M,addr=32M"}, "expected multiples of 2M"},
    {"over each other",
     16 * MIB,
     {"id=a,size=4M,addr=32M", "id=b,size=2M,addr=34M"},
     "overlapping addresses"},
    {"twice", 16 * MIB, {"id=a,size=2M,addr=32M", "id=a,size=2M,addr=64M"}, "two of this id"},
    {"the main one's", 16 * MIB, {"id=pc.ram,size=2M,addr=32M"}, "two of this id"},
    {"over too many GiB", 16 * MIB, {"id=a,size=128G,addr=65G"}, "too many GiB"},
    {"twice too many",
     16 * MIB,
     {"id=a,size=50G,addr=65G", "id=b,size=50G,addr=200G"},
     "too many GiB"},
};

static void has_a_place_for_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(place_cases); i++) {
        const struct place_case *c = &place_cases[i];
        struct memory_backend_config more[3];
        struct machine_guest_config config = {
            .guest = "idle", .bytes = c->main_bytes, .cpus = 1, .more = more};
        struct machine *m;
        struct error err;

        for (; config.n_more < 3 && c->backends[config.n_more]; config.n_more++)
            OK(memory_backend_parse(c->backends[config.n_more], &more[config.n_more], &err), err,
               c->label);
        if (c->part) {
            check_refused(c->label, machine_synth_guest_new(&config, &m, &err), &err, ERR_USAGE,
                          c->part);
            continue;
        }
        OK(machine_synth_guest_new(&config, &m, &err), err, c->label);
        CHECK(m->ram.n == 1 + config.n_more, "%s: %zu blocks", c->label, m->ram.n);
        for (size_t k = 0; k < config.n_more; k++) {
            const struct ram_block *b = ram_map_find(&m->ram, more[k].id);
            CHECK(b && b->address == more[k].address && b->used_bytes == more[k].bytes, "%s: '%s'",
                  c->label, more[k].id);
        }
        machine_free(m);
    }
}

/* --- adding and deleting --------------------------------------------------------------------- */

static void add(struct memory_backends *all, const char *text)
{
    struct memory_backend_config c;
    struct error err;

    OK(memory_backend_parse(text, &c, &err), err, text);
    OK(memory_backends_add(all, &c, &err), err, text);
}

static void come_and_go(void **state)
{
    struct memory_backends *all;
    struct memory_backend_config c;
    struct error err;

    (void)state;
    OK(memory_backends_new(&all, &err), err, "all");
    add(all, "id=a,size=2M");
    add(all, "id=b,size=2M,addr=64M");
    add(all, "id=c,size=2M,kind=memfd");
    OK(memory_backend_parse("id=c,size=4M", &c, &err), err, "c");
    check_refused("c again", memory_backends_add(all, &c, &err), &err, ERR_USAGE, "of this id");
    check_refused("b", memory_backends_remove(all, "b", &err), &err, ERR_USAGE, "in use");
    check_refused("d", memory_backends_remove(all, "d", &err), &err, ERR_USAGE, "there is no");
    OK(memory_backends_remove(all, "a", &err), err, "a");
    assert_int_equal(memory_backends_n(all), 2);
    assert_string_equal(memory_backends_at(all, 0)->id, "b");
    assert_null(memory_backends_block(all, 0)); /* the machine's */
    const struct ram_block *b = memory_backends_block(all, 1);
    assert_non_null(b);
    assert_false(b->migratable);
    b->host[b->used_bytes - 1] = 1;
    add(all, "id=a,size=4M");
    assert_int_equal(memory_backends_find(all, "a")->bytes, 4 * MIB);
    memory_backends_free(all);
}

/* What is written to private memory does not get into the file. */
static void private_is_private(void **state)
{
    char path[PATH_MAX], text[PATH_MAX + 64];

    (void)state;
    for (unsigned shared = 0; shared < 2; shared++) {
        struct memory_backends *all;
        struct error err;

        unlink(temp_path(path, "private"));
        OK(memory_backends_new(&all, &err), err, "all");
        snprintf(text, sizeof(text), "id=a,size=2M,kind=file,share=%s,path=%s",
                 shared ? "on" : "off", path);
        add(all, text);
        const struct ram_block *b = memory_backends_block(all, 0);
        assert_int_equal(b->shared, shared);
        assert_int_equal(b->named, shared);
        b->host[MIB] = 7;
        struct buf bytes = file_bytes(path);
        assert_int_equal(bytes.len, 2 * MIB);
        CHECK(bytes.data[MIB] == (shared ? 7 : 0), "share %u: %d in the file", shared,
              bytes.data[MIB]);
        buf_done(&bytes);
        memory_backends_free(all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands),          cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(has_a_place_for_each), cmocka_unit_test(come_and_go),
        cmocka_unit_test(private_is_private),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
