#include "vmm/machine_synth.h"

#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include "ram/digest.h"
#include "stream/description.h"
#include "tests/support/test.h"

static uint64_t digest_of(struct synth_config config, uint64_t *ret_zero)
{
    struct machine *m;
    struct error err;
    uint64_t digest;

    OK(machine_synth(&config, &m, &err), err, "synth");
    CHECK(m->ram.n == 1 && m->ram.total_bytes == config.bytes, "another size");
    OK(description_check(&m->devices.early, &m->devices.tail, NULL, NULL, &err), err, "tail");
    OK(ram_digest(&m->ram.blocks[0], NULL, &digest, &err), err, "digest");
    *ret_zero = 0;
    for (uint64_t page = 0; page < config.bytes / RAM_PAGE_SIZE; page++) {
        const uint8_t *at = m->ram.blocks[0].host + page * RAM_PAGE_SIZE;

        *ret_zero += at[0] == 0 && memcmp(at, at + 1, RAM_PAGE_SIZE - 1) == 0;
    }
    machine_free(m);
    return digest;
}

static const struct mix_case {
    const char *label;
    unsigned zero, random;
    uint64_t min_zero, max_zero; /* of 2000 pages */
} mix_cases[] = {
    {"no zeros", 0, 100, 0, 0},
    {"all zeros", 100, 0, 2000, 2000},
    {"a third", 30, 15, 450, 750},
};

static void equal_seeds_make_equal_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mix_cases); i++) {
        const struct mix_case *c = &mix_cases[i];
        struct synth_config config = {.bytes = 2000 * RAM_PAGE_SIZE,
                                      .zero_percent = c->zero,
                                      .random_percent = c->random,
                                      .seed = 7};
        uint64_t zero, again, other;
        uint64_t first = digest_of(config, &zero);

        CHECK(digest_of(config, &again) == first, "%s: not the same again", c->label);
        CHECK(zero >= c->min_zero && zero <= c->max_zero, "%s: %" PRIu64 " zero pages", c->label,
              zero);
        config.seed = 8;
        CHECK((digest_of(config, &other) == first) == (c->zero == 100), "%s: another seed",
              c->label);
    }
}

/* Every page that differs from an earlier copy is in the dirty log. */
static void notices_every_write(void **state)
{
    struct synth_config config = {
        .bytes = 500 * RAM_PAGE_SIZE, .zero_percent = 30, .seed = 1, .dirty_bytes_per_s = 1 << 30};
    struct dirty_bitmap dirty;
    struct machine *m;
    struct error err;
    uint64_t pages = 0, all = 0;

    (void)state;
    OK(machine_synth(&config, &m, &err), err, "synth");
    assert_non_null(m->dirty);
    /* The copy is compared with a paused machine later. */
    OK(m->ops->stop(m, MACHINE_MOVING, &err), err, "stop");
    OK(m->dirty->ops->start(m->dirty, &err), err, "start");
    uint8_t *copy = malloc(config.bytes);
    memcpy(copy, m->ram.blocks[0].host, config.bytes);
    m->ops->resume(m, MACHINE_MOVING);
    OK(dirty_bitmap_init(&dirty, 500, &err), err, "bitmap");
    while (all < 300) { /* until enough was written, however long that takes */
        OK(m->dirty->ops->sync(m->dirty, &dirty, &pages, &err), err, "sync");
        all += pages;
    }
    OK(m->ops->stop(m, MACHINE_MOVING, &err), err, "stop");
    OK(m->dirty->ops->sync(m->dirty, &dirty, &pages, &err), err, "last sync");
    for (uint64_t page = 0; page < 500; page++) {
        bool differs = memcmp(copy + page * RAM_PAGE_SIZE,
                              m->ram.blocks[0].host + page * RAM_PAGE_SIZE, RAM_PAGE_SIZE) != 0;

        CHECK(!differs || dirty.words[page / 64] >> page % 64 & 1, "page %" PRIu64 " was missed",
              page);
    }
    m->dirty->ops->stop(m->dirty);
    dirty_bitmap_done(&dirty);
    free(copy);
    machine_free(m);
}

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    (void)number;
    caught = 1;
}

/* Its thread takes none of the program's signals, whatever the mask at its start was. */
static void leaves_signals_alone(void **state)
{
    struct synth_config config = {.bytes = 500 * RAM_PAGE_SIZE, .dirty_bytes_per_s = 1 << 20};
    struct machine *m;
    struct error err;
    sigset_t set, now;
    int number;

    (void)state;
    signal(SIGUSR1, on_signal);
    OK(machine_synth(&config, &m, &err), err, "synth");
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0 && !sigismember(&now, SIGUSR1),
          "our own mask has changed");
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    OK(m->ops->stop(m, MACHINE_MOVING, &err), err, "stop"); /* by now it would have arrived */
    CHECK(!caught && sigpending(&now) == 0 && sigismember(&now, SIGUSR1), "the guest has taken it");
    CHECK(sigwait(&set, &number) == 0 && number == SIGUSR1, "sigwait");
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    signal(SIGUSR1, SIG_DFL);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_seeds_make_equal_memory),
        cmocka_unit_test(notices_every_write),
        cmocka_unit_test(leaves_signals_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
