/* What a source's list may say about the blocks of a waiting machine (S7, B4, B5). */
#include <inttypes.h>

#include "capture/target.h"
#include "tests/support/memory.h"
#include "tests/support/test.h"

#define PAGES  4
#define IGNORE STREAM_CAP_X_IGNORE_SHARED
#define MAPPED STREAM_CAP_MAPPED_RAM

static const struct ram_set_rules all_travel = {MODE_NORMAL, false};
static const struct ram_set_rules ignore = {MODE_NORMAL, true};
static const struct ram_set_rules reboot = {MODE_CPR_REBOOT, true};
static const struct ram_set_rules transfer = {MODE_CPR_TRANSFER, false};

/* --- a machine that has only memory ---------------------------------------------------------- */

static struct trial {
    struct machine machine;
    struct target *target;
    struct ram_map listed;
    bool claimed, loaded, in_use, bad_devices;
} t;

static int trial_activate(struct machine *m, struct error *err)
{
    (void)m;
    t.claimed = !t.in_use;
    return t.in_use ? err_set(err, ERR_SYSTEM, "in use by another guest") : 0;
}

static int trial_load(struct machine *m, const struct device_state *devices, struct error *err)
{
    (void)m;
    (void)devices;
    t.loaded = true;
    return t.bad_devices ? err_set(err, ERR_PEER, "devices that cannot be") : 0;
}

static const struct machine_ops ops = {.activate = trial_activate, .load = trial_load};

/* '-': not migratable; 's'hared, 'n'amed, 'k'ept; '4': at 4 GiB. */
static void block_add(const char *name, const char *letters)
{
    struct ram_block *b = memory_add(&t.machine.ram, name, PAGES, false);

    b->migratable = !strchr(letters, '-');
    b->shared = strchr(letters, 's') != NULL;
    b->named = strchr(letters, 'n') != NULL;
    b->kept = strchr(letters, 'k') != NULL;
    b->address = strchr(letters, '4') ? UINT64_C(4) << 30 : 0;
}

static void trial_start(const struct ram_set_rules *rules, const char *m, const char *other)
{
    struct error err;

    t = (struct trial){.machine = {.ops = &ops, .config.machine = "ramjet-1.0"}};
    block_add("m", m);
    if (other)
        block_add("other", other);
    OK(target_machine_new(&t.machine, rules, &t.target, &err), err, "target");
}

static int trial_list(uint32_t said, struct error *err)
{
    const struct configuration config = {.machine = "ramjet-1.0", .capabilities = said};
    const struct device_state devices = {0};

    return t.target->ops->listed(t.target, &config, &devices, &t.listed, err);
}

static int trial_finish(struct error *err)
{
    const struct configuration config = {.machine = "ramjet-1.0"};
    const struct device_state devices = {0};

    if (target_prepare(t.target, &config, &t.listed, &devices, err) < 0)
        return -1;
    CHECK(!t.claimed, "claimed while the source may go on");
    return target_commit(t.target, err);
}

static void trial_end(void)
{
    target_free(t.target);
    ram_map_done(&t.listed);
    ram_map_done(&t.machine.ram);
}

/* --- the list -------------------------------------------------------------------------------- */

static const struct list_case {
    const char *label;
    const struct ram_set_rules *rules;
    const char *m, *other; /* the machine's blocks; `other` NULL: no second one */
    uint32_t capabilities; /* the stream's */
    const char *name;      /* the block that is listed */
    uint64_t pages, address;
    enum ram_travel travel; /* as the list of a mapped-ram file says */
    const char *refused;    /* or NULL, then `want` holds */
    enum ram_travel want;
} list_cases[] = {
    {"its pages come", &all_travel, "", NULL, 0, "m", PAGES, 0, RAM_TRAVELS, NULL, RAM_TRAVELS},
    {"shared, and its pages come", &all_travel, "sn", NULL, 0, "m", PAGES, 0, RAM_TRAVELS, NULL,
     RAM_TRAVELS},
    {"unknown", &all_travel, "", NULL, 0, "nobody", PAGES, 0, RAM_TRAVELS,
     "RAM block 'nobody': there is none of that name here", 0},
    {"not migratable here", &all_travel, "", "-", 0, "other", PAGES, 0, RAM_TRAVELS,
     "RAM block 'other': it is not migratable here", 0},
    {"too short", &all_travel, "", NULL, 0, "m", PAGES - 1, 0, RAM_TRAVELS,
     "RAM block 'm': 12288 bytes, expected 16384", 0},
    {"too long", &ignore, "snk", NULL, IGNORE, "m", PAGES + 1, 0, RAM_TRAVELS,
     "RAM block 'm': 20480 bytes, expected 16384", 0},
    {"one is missing", &all_travel, "", "", 0, "m", PAGES, 0, RAM_TRAVELS,
     "1 RAM blocks, expected 2", 0},
    {"what is not migratable is not missed", &all_travel, "", "-sn", 0, "m", PAGES, 0, RAM_TRAVELS,
     NULL, RAM_TRAVELS},
    /* x-ignore-shared */
    {"ignored", &ignore, "snk", NULL, IGNORE, "m", PAGES, 0, RAM_TRAVELS, NULL, RAM_IGNORED},
    {"ignored, cpr-reboot", &reboot, "snk", NULL, IGNORE, "m", PAGES, 0, RAM_TRAVELS, NULL,
     RAM_IGNORED},
    {"ignored, at its address", &ignore, "snk4", NULL, IGNORE, "m", PAGES, UINT64_C(4) << 30,
     RAM_TRAVELS, NULL, RAM_IGNORED},
    {"ignored, at another address", &ignore, "snk4", NULL, IGNORE, "m", PAGES, 0, RAM_TRAVELS,
     "RAM block 'm': at guest address 0x0, expected 0x100000000", 0},
    {"shared without a name", &ignore, "s", NULL, IGNORE, "m", PAGES, 0, RAM_TRAVELS, NULL,
     RAM_TRAVELS},
    {"what travels may be anywhere", &ignore, "s4", NULL, IGNORE, "m", PAGES, 0, RAM_TRAVELS, NULL,
     RAM_TRAVELS},
    {"memory that is new here", &ignore, "sn", NULL, IGNORE, "m", PAGES, 0, RAM_TRAVELS,
     "RAM block 'm': its memory is new here, expected the source's", 0},
    {"memory that may be the source's, and pages", &all_travel, "snk", NULL, 0, "m", PAGES, 0,
     RAM_TRAVELS, "RAM block 'm': its pages come, but its file was opened as it is", 0},
    {"in a file, and left out", &ignore, "snk", NULL, IGNORE | MAPPED, "m", PAGES, 0, RAM_IGNORED,
     NULL, RAM_IGNORED},
    {"in a file, with pages", &ignore, "snk", NULL, IGNORE | MAPPED, "m", PAGES, 0, RAM_TRAVELS,
     "RAM block 'm': its pages are in the file, expected none", 0},
    {"in a file, left out, private here", &ignore, "", NULL, IGNORE | MAPPED, "m", PAGES, 0,
     RAM_IGNORED, "RAM block 'm': its pages are not in the file", 0},
    /* Handed over: the kind of the block does not matter. */
    {"handed over", &transfer, "", NULL, 0, "m", PAGES, 0, RAM_TRAVELS, NULL, RAM_IGNORED},
    {"handed over, of another length", &transfer, "s", NULL, 0, "m", 1, 0, RAM_TRAVELS,
     "RAM block 'm': 4096 bytes, expected 16384", 0},
};

static void check_listed(const struct list_case *c)
{
    const struct ram_block *b = &t.listed.blocks[0], *own = &t.machine.ram.blocks[0];
    bool travels = c->want == RAM_TRAVELS;
    struct error err;
    uint8_t *host;

    CHECK(b->travel == c->want, "%s: travel %d", c->label, b->travel);
    CHECK(t.machine.filled == travels, "%s: filled %d", c->label, t.machine.filled);
    int rc = ram_span(b, 0, RAM_PAGE_SIZE, &host, &err);
    CHECK(!b->present == !travels, "%s: its present bits", c->label);
    if (travels)
        CHECK(rc == 0 && host == own->host, "%s: its pages go elsewhere", c->label);
    else
        check_refused(c->label, rc, &err, ERR_PEER, "RAM block 'm': a page of it, expected none");
}

static void lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(list_cases); i++) {
        const struct list_case *c = &list_cases[i];
        struct error err;

        trial_start(c->rules, c->m, c->other);
        OK(ram_map_add(&t.listed, c->name, c->pages * RAM_PAGE_SIZE, &err), err, c->label);
        t.listed.blocks[0].address = c->address;
        t.listed.blocks[0].travel = c->travel;
        int rc = trial_list(c->capabilities, &err);
        if (c->refused) {
            check_refused(c->label, rc, &err, ERR_PEER, c->refused);
        } else {
            OK(rc, err, c->label);
            check_listed(c);
        }
        trial_end();
    }
}

/* --- the end --------------------------------------------------------------------------------- */

static const struct commit_case {
    const char *label;
    const char *m;
    bool left_out; /* no page of it has arrived */
    bool in_use, bad_devices;
    const char *refused;
    bool claimed, loaded;
} commit_cases[] = {
    {"pages came", "s", false, false, false, NULL, false, true},
    {"left out", "snk", true, false, false, NULL, true, true},
    {"left out, private here", "s", true, false, false,
     "RAM block 'm': the source has left it out, but here it is not", false, false},
    {"another guest runs on it", "snk", true, true, false, "in use by another guest", false, true},
    {"devices fail: it stays the source's", "snk", true, false, true, "devices that cannot be",
     false, true},
    {"devices fail, nothing was shared", "s", false, false, true, "devices that cannot be", false,
     true},
};

static void commits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(commit_cases); i++) {
        const struct commit_case *c = &commit_cases[i];
        struct error err;

        trial_start(&ignore, c->m, NULL);
        t.in_use = c->in_use;
        t.bad_devices = c->bad_devices;
        OK(ram_map_add(&t.listed, "m", PAGES * RAM_PAGE_SIZE, &err), err, c->label);
        OK(trial_list(IGNORE, &err), err, c->label);
        if (c->left_out) /* as the destination finds at the end */
            t.listed.blocks[0].travel = RAM_IGNORED;
        int rc = trial_finish(&err);
        if (c->refused)
            CHECK(rc < 0 && strstr(err.text, c->refused), "%s: %s", c->label, rc ? err.text : "ok");
        else
            OK(rc, err, c->label);
        CHECK(t.claimed == c->claimed && t.loaded == c->loaded, "%s: claimed %d, loaded %d",
              c->label, t.claimed, t.loaded);
        trial_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(commits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
