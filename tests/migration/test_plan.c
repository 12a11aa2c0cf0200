/* The plan that follows from a caller's config and the machine type, and the configs
 * that are refused. */
#include "migration/plan.h"

#include <string.h>

#include "tests/support/test.h"

static const struct plan_case {
    const char *label, *address, *machine;
    struct source_config config;
    struct plan want;
} plan_cases[] = {
    {"one connection",
     "tcp:127.0.0.1:1",
     "pc-q35-10.0",
     {.n_channels = 0},
     {.pages = PAGES_ON_MAIN, .zeros_on_main = true, .switchover_start = true, .has_peer = true}},
    {"channels",
     "tcp:127.0.0.1:1",
     "pc-q35-10.0",
     {.n_channels = 3},
     {.pages = PAGES_ON_CHANNELS,
      .n_workers = 3,
      .flush = RAM_FLUSH_WORD,
      .switchover_start = true,
      .has_peer = true}},
    {"channels, zero pages on main",
     "tcp:127.0.0.1:1",
     "pc-q35-8.2",
     {.n_channels = 3},
     {.pages = PAGES_ON_CHANNELS,
      .n_workers = 3,
      .zeros_on_main = true,
      .flush = RAM_FLUSH_WORD,
      .has_peer = true}},
    {"channels, a barrier per section",
     "tcp:127.0.0.1:1",
     "pc-q35-8.0",
     {.n_channels = 3},
     {.pages = PAGES_ON_CHANNELS,
      .n_workers = 3,
      .zeros_on_main = true,
      .flush = RAM_FLUSH_SECTION,
      .has_peer = true}},
    {"one connection, old",
     "tcp:127.0.0.1:1",
     "pc-q35-8.0",
     {.n_channels = 0},
     {.pages = PAGES_ON_MAIN, .zeros_on_main = true, .has_peer = true}},
    {"a verdict, and the ack",
     "tcp:127.0.0.1:1",
     "ramjet-1.0",
     {.return_path = true, .switchover_ack = true},
     {.pages = PAGES_ON_MAIN,
      .zeros_on_main = true,
      .has_peer = true,
      .verdict = true,
      .ack = true}},
    {"no ack from 11.1 on",
     "tcp:127.0.0.1:1",
     "pc-q35-11.1",
     {.return_path = true, .switchover_ack = true},
     {.pages = PAGES_ON_MAIN,
      .zeros_on_main = true,
      .switchover_start = true,
      .has_peer = true,
      .verdict = true}},
    {"a file has no verdict",
     "file:/nowhere",
     "ramjet-1.0",
     {.return_path = true, .switchover_ack = true},
     {.pages = PAGES_ON_MAIN, .zeros_on_main = true}},
    {"in place",
     "file:/nowhere",
     "pc-q35-8.0",
     {.mapped_ram = true},
     {.pages = PAGES_IN_PLACE, .capabilities = STREAM_CAP_MAPPED_RAM}},
    {"in place, by two writers",
     "file:/nowhere",
     "ramjet-1.0",
     {.mapped_ram = true, .n_channels = 2, .ram.ignore_shared = true},
     {.pages = PAGES_IN_PLACE,
      .n_workers = 2,
      .capabilities = STREAM_CAP_MAPPED_RAM | STREAM_CAP_X_IGNORE_SHARED,
      .marks_blocks = true}},
    {"pause, auto-converge",
     "tcp:127.0.0.1:1",
     "ramjet-1.0",
     {.pause_before_switchover = true, .auto_converge = true},
     {.pages = PAGES_ON_MAIN,
      .zeros_on_main = true,
      .has_peer = true,
      .pause = true,
      .slowed = CONVERGE_THROTTLE}},
    {"stopped first, dirty-limit",
     "tcp:127.0.0.1:1",
     "ramjet-1.0",
     {.stop_first = true, .dirty_limit = true},
     {.pages = PAGES_ON_MAIN,
      .zeros_on_main = true,
      .has_peer = true,
      .still = true,
      .slowed = CONVERGE_LIMIT}},
};

static void follows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(plan_cases); i++) {
        const struct plan_case *c = &plan_cases[i];
        const struct plan *want = &c->want;
        struct source_config config = c->config;
        struct plan p;
        struct error err;

        OK(address_parse(c->address, &config.connect.address, &err), err, c->label);
        OK(plan_make(&config, c->machine, &p, &err), err, c->label);
        CHECK(p.pages == want->pages && p.n_workers == want->n_workers,
              "%s: pages %d by %u, expected %d by %u", c->label, p.pages, p.n_workers, want->pages,
              want->n_workers);
        CHECK(p.zeros_on_main == want->zeros_on_main && p.flush == want->flush,
              "%s: zeros on main %d, flush %d", c->label, p.zeros_on_main, p.flush);
        CHECK(p.capabilities == want->capabilities && p.marks_blocks == want->marks_blocks,
              "%s: capabilities %x, marks blocks %d", c->label, p.capabilities, p.marks_blocks);
        CHECK(p.has_peer == want->has_peer && p.verdict == want->verdict && p.ack == want->ack,
              "%s: peer %d, verdict %d, ack %d", c->label, p.has_peer, p.verdict, p.ack);
        CHECK(p.switchover_start == want->switchover_start && p.pause == want->pause,
              "%s: SWITCHOVER_START %d, pause %d", c->label, p.switchover_start, p.pause);
        CHECK(p.still == want->still && p.slowed == want->slowed, "%s: still %d, slowed %d",
              c->label, p.still, p.slowed);
    }
}

static const struct refused_case {
    const char *label, *address;
    struct source_config config;
    const char *why;
} refused_cases[] = {
    {"mapped-ram to a peer", "tcp:127.0.0.1:1", {.mapped_ram = true}, "(rule M2)"},
    {"multifd over one connection", "fd:9", {.n_channels = 1}, "(rule M3)"},
    {"multifd into a file", "file:/nowhere", {.n_channels = 1}, "(rule M3)"},
    {"ack without a return path", "tcp:127.0.0.1:1", {.switchover_ack = true}, "(rule C13)"},
    {"slowed twice", "tcp:127.0.0.1:1", {.auto_converge = true, .dirty_limit = true}, "(rule C14)"},
    {"zero-copy without multifd", "tcp:127.0.0.1:1", {.connect.zero_copy = true}, "(rule C10)"},
    {"zero-copy and a method",
     "tcp:127.0.0.1:1",
     {.connect.zero_copy = true, .n_channels = 1, .method = CODEC_ZLIB},
     "(rule C11)"},
    {"a method without channels", "tcp:127.0.0.1:1", {.method = CODEC_ZLIB}, "(rule R7)"},
    {"a method in place", "file:/nowhere", {.mapped_ram = true, .method = CODEC_ZLIB}, "(rule P3)"},
    {"direct-io without mapped-ram", "file:/nowhere", {.direct_io = true}, "(rule R11)"},
    {"memory handed over in another mode", "tcp:127.0.0.1:1", {.hand_over = true}, "(rule M1)"},
    {"nobody to hand it over to",
     "tcp:127.0.0.1:1",
     {.ram.mode = MODE_CPR_TRANSFER, .return_path = true},
     "(rule M15)"},
    {"replaced without a file", "tcp:127.0.0.1:1", {.ram.mode = MODE_CPR_EXEC}, "(rule B7)"},
    {"too many channels", "tcp:127.0.0.1:1", {.n_channels = 256}, "expected 0 to 255"},
};

/* The same rules refuse a caller that did not ask the gate. */
static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused_cases); i++) {
        const struct refused_case *c = &refused_cases[i];
        struct source_config config = c->config;
        struct plan p;
        struct error err;

        OK(address_parse(c->address, &config.connect.address, &err), err, c->label);
        CHECK(plan_make(&config, "ramjet-1.0", &p, &err) < 0, "%s: is let in", c->label);
        CHECK(err.kind == ERR_USAGE && strstr(err.text, c->why), "%s: '%s', expected '%s'",
              c->label, err.text, c->why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows),
        cmocka_unit_test(refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
