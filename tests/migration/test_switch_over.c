/*
 * The source with simulated destinations: which end has the guest when a destination answers
 * differently, goes away, or says nothing. docs/switch-over.md has the cases.
 */
#include <pthread.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "migration/main_stream.h"
#include "migration/source.h"
#include "stream/return_path.h"
#include "tests/support/memory.h"
#include "tests/support/test.h"
#include "transport/engine.h"
#include "vmm/machine_synth.h"

#define ANSWER_MS 400 /* for destinations that say nothing */

/* What a destination does at the end, in this order. */
enum deed {
    WAIT_FOR_RUN = 1 << 0,
    SAY_READY = 1 << 1,
    SAY_SHUT_0 = 1 << 2,
    SAY_SHUT_5 = 1 << 3,
    BE_SILENT = 1 << 4, /* until the source has closed; else the connection closes here */
};

static const struct play {
    const char *label;
    bool accepts;   /* a ramjet; else a QEMU */
    bool bad_pongs; /* answers a PING with another number, */
    bool no_pongs;  /* or never */
    bool leaves_early;
    unsigned deeds;
    const char *says;         /* the source's error; NULL: it is completed */
    bool held;                /* its guest stays stopped */
    enum stream_command word; /* what it says after the description; 0: nothing */
} plays[] = {
    {.label = "a QEMU", .deeds = SAY_SHUT_0, .held = true},
    {.label = "a QEMU that refuses the devices", .deeds = SAY_SHUT_5, .says = "SHUT 5"},
    {.label = "a QEMU that goes behind the last byte",
     .says = "may run at the destination",
     .held = true},
    {.label = "a QEMU that says nothing",
     .deeds = BE_SILENT,
     .says = "has given no verdict for 0.4 s (--answer-timeout)",
     .held = true},
    {.label = "a QEMU that goes early", .leaves_early = true, .says = ""},
    {.label = "a QEMU that answers wrong", .bad_pongs = true, .says = "PONG 7, expected"},
    {.label = "a QEMU that answers no PING",
     .no_pongs = true,
     .says = "has not answered a PING for 0.4 s (--answer-timeout)"},

    {.label = "a ramjet",
     .accepts = true,
     .deeds = SAY_READY | WAIT_FOR_RUN | SAY_SHUT_0,
     .held = true,
     .word = COMMAND_SWITCHOVER_RUN},
    {.label = "a ramjet that cannot load", .accepts = true, .deeds = SAY_SHUT_5, .says = "SHUT 5"},
    {.label = "a ramjet that goes before READY", .accepts = true, .says = "closed the connection"},
    {.label = "a ramjet that is never ready",
     .accepts = true,
     .deeds = BE_SILENT,
     .says = "has not reported that it is ready for 0.4 s (--answer-timeout)",
     .word = COMMAND_SWITCHOVER_DROP},
    {.label = "a ramjet that goes behind RUN",
     .accepts = true,
     .deeds = SAY_READY | WAIT_FOR_RUN,
     .says = "may run at the destination",
     .held = true,
     .word = COMMAND_SWITCHOVER_RUN},
    {.label = "a ramjet that is silent behind RUN",
     .accepts = true,
     .deeds = SAY_READY | WAIT_FOR_RUN | BE_SILENT,
     .says = "may run at the destination: check there: the destination has given no verdict",
     .held = true,
     .word = COMMAND_SWITCHOVER_RUN},
    {.label = "a ramjet that cannot commit",
     .accepts = true,
     .deeds = SAY_READY | WAIT_FOR_RUN | SAY_SHUT_5,
     .says = "SHUT 5",
     .word = COMMAND_SWITCHOVER_RUN},
    {.label = "a ramjet that is done before it was told to",
     .accepts = true,
     .deeds = SAY_SHUT_0,
     .says = "SHUT 0 before the stream's end"},
};

/* The destination, in a thread of its own. */
static struct {
    const struct play *play;
    struct channel *channel;
    struct stream_in in;
    struct main_stream stream;
    struct ram_load load;
    struct ram_map ram;
    unsigned pings;
    enum stream_command word;
} d;

static int on_configured(struct main_stream *ms, struct error *err)
{
    (void)ms;
    return d.play->leaves_early ? err_set(err, ERR_PEER, "it goes early") : 0;
}

static void say(enum return_message type, uint32_t value)
{
    struct error ignored;

    (void)!return_path_send(d.channel, type, value, 0, &ignored);
}

static int on_command(struct main_stream *ms, const struct command *c, struct error *err)
{
    struct reader r = reader_of(c->payload, c->len);
    uint32_t number = get_u32(&r);

    (void)ms;
    (void)err;
    if (c->id != COMMAND_PING || d.play->no_pongs)
        return 0;
    if (++d.pings == 1)
        number = d.play->accepts ? SWITCHOVER_ACCEPTED : SWITCHOVER_OFFER;
    say(RETURN_PONG, d.play->bad_pongs ? 7 : number);
    return 0;
}

static const struct main_stream_ops stream_ops = {.configured = on_configured,
                                                  .command = on_command};

/* What the source says after the description; 0 if it closes. */
static enum stream_command read_word(void)
{
    struct command c = {0};

    if (!stream_in_wait(&d.in) || in_u8(&d.in) != STREAM_COMMAND)
        return (enum stream_command)0;
    command_in(&d.in, &c);
    return d.in.failed ? (enum stream_command)0 : c.id;
}

static void *destination_main(void *arg)
{
    unsigned deeds = d.play->deeds;
    struct error ignored;

    (void)arg;
    if (main_stream_read(&d.stream, &ignored) == 0) {
        if (deeds & SAY_READY)
            say(RETURN_SWITCHOVER_READY, 0);
        if (deeds & WAIT_FOR_RUN)
            d.word = read_word();
        if (deeds & (SAY_SHUT_0 | SAY_SHUT_5))
            say(RETURN_SHUT, deeds & SAY_SHUT_5 ? 5 : 0);
        if (deeds & BE_SILENT && !d.word)
            d.word = read_word();
        if (deeds & BE_SILENT)
            (void)!stream_in_wait(&d.in);
    }
    channel_interrupt(d.channel);
    return NULL;
}

static void open_destination(const struct play *p, const struct engine *engine, int fd)
{
    const struct engine_config config = {0};
    struct error err;

    memset(&d, 0, sizeof(d));
    d.play = p;
    OK(engine->open(fd, &config, &d.channel, &err), err, p->label);
    OK(stream_in_init(&d.in, d.channel, &err), err, p->label);
    d.stream.ops = &stream_ops;
    d.stream.in = &d.in;
    ram_load_init(&d.load, &memory_load_ops, &d.ram);
    section_loaders_add(&d.stream.loaders, &d.load.base);
}

static void close_destination(void)
{
    main_stream_done(&d.stream);
    ram_load_done(&d.load);
    ram_map_done(&d.ram);
    stream_in_done(&d.in);
    channel_free(d.channel);
}

static void play(const struct play *p)
{
    const struct synth_config synth = {
        .bytes = 4 << 20, .zero_percent = 10, .seed = 1, .dirty_bytes_per_s = 1 << 20};
    struct source_config config = {.return_path = true, .live.downtime_limit_ms = 300};
    struct connect_config *connect = &config.connect;
    struct machine *machine;
    struct source *out;
    struct error err;
    pthread_t thread;
    char address[32];
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    snprintf(address, sizeof(address), "fd:%d", pair[0]);
    OK(address_parse(address, &connect->address, &err), err, p->label);
    OK(engine_find("socket", &connect->engine, &err), err, p->label);
    /* Only cases in which nothing comes are decided by a clock. */
    connect->answer_timeout_ms = p->deeds & BE_SILENT || p->no_pongs ? ANSWER_MS : 0;
    open_destination(p, connect->engine, pair[1]);
    OK(machine_synth(&synth, &machine, &err), err, p->label);
    OK(source_new(&config, machine, &out, &err), err, p->label);
    assert_int_equal(pthread_create(&thread, NULL, destination_main, NULL), 0);
    int rc = source_run(out, &err);
    source_free(out);
    pthread_join(thread, NULL);

    CHECK((rc == 0) == !p->says, "%s: rc %d: %s", p->label, rc, rc ? err.text : "");
    CHECK(!p->says || says(&err, p->says), "%s: expected '%s' in: %s", p->label, p->says, err.text);
    CHECK(machine_is_paused_for(machine, MACHINE_MOVING) == p->held, "%s: the guest %s", p->label,
          p->held ? "runs on" : "stands still");
    CHECK(d.word == p->word, "%s: heard %s", p->label, command_name(d.word));
    close_destination();
    machine_free(machine);
}

static void each_has_its_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(plays); i++)
        play(&plays[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_has_its_end)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
