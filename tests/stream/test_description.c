#include "stream/description.h"

#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

/* A device section of id `id`: name, instance 0, version 1, a body of `len` bytes, the footer. */
static void section(struct buf *b, uint8_t id, const char *name, size_t len)
{
    const uint8_t head[] = {4, 0, 0, 0, id, (uint8_t)strlen(name)};
    const uint8_t numbers[] = {0, 0, 0, 0, 0, 0, 0, 1};
    const uint8_t footer[] = {0x7e, 0, 0, 0, id};
    struct error err;

    OK(buf_append(b, head, sizeof(head), &err), err, "section");
    OK(buf_append(b, name, strlen(name), &err), err, "section");
    OK(buf_append(b, numbers, sizeof(numbers), &err), err, "section");
    for (size_t i = 0; i < len; i++)
        OK(buf_append(b, "}", 1, &err), err, "section"); /* the hardest byte: a text may end here */
    OK(buf_append(b, footer, sizeof(footer), &err), err, "section");
}

static void description(struct buf *b, const char *json)
{
    uint32_t len = (uint32_t)strlen(json);
    const uint8_t lead[] = {
        0, 6, (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    struct error err;

    OK(buf_append(b, lead, sizeof(lead), &err), err, "description");
    OK(buf_append(b, json, len, &err), err, "description");
}

#define DEVICE(name, fields)                                                                       \
    "{\"name\":\"" name "\",\"instance_id\":0,\"vmsd_name\":\"" name                               \
    "\",\"version\":1,\"fields\":[" fields "]}"
#define FIELD(size)      "{\"name\":\"f\",\"type\":\"buffer\",\"size\":" size "}"
#define ARRAY(size, len) "{\"name\":\"f\",\"array_len\":" len ",\"size\":" size "}"
#define DEVICES(list)    "{\"configuration\":{},\"page_size\":4096,\"devices\":[" list "]}"

struct seen {
    size_t n;
    uint64_t lens[4];
    char names[4][32];
};

static void note(void *arg, const struct section *s, const uint8_t *body, uint64_t body_len)
{
    struct seen *seen = arg;

    (void)body;
    snprintf(seen->names[seen->n], sizeof(seen->names[0]), "%.31s", s->name);
    seen->lens[seen->n++] = body_len;
}

static void cuts_a_tail(void **state)
{
    struct buf early = {0}, tail = {0};
    struct seen seen = {0};
    struct error err;
    size_t json;

    (void)state;
    section(&early, 1, "first", 3);
    section(&tail, 2, "timer", 24);
    section(&tail, 3, "cpu", 100);
    description(&tail,
                DEVICES(DEVICE("first", FIELD("3")) ", " DEVICE(
                    "timer", FIELD("8") "," ARRAY("8", "2")) "," DEVICE("cpu", FIELD("100"))));
    CHECK(description_ends(&tail, &json) && tail.data[json] == '{', "the end is not seen");
    OK(description_check(&early, &tail, note, &seen, &err), err, "check");
    CHECK(seen.n == 3 && strcmp(seen.names[0], "first") == 0 && seen.lens[0] == 3 &&
              strcmp(seen.names[1], "timer") == 0 && seen.lens[1] == 24 &&
              strcmp(seen.names[2], "cpu") == 0 && seen.lens[2] == 100,
          "cut otherwise");
    OK(description_check(&early, &tail, NULL, NULL, &err), err, "without a visitor");
    for (size_t len = 0; len < tail.len; len++) {
        struct buf cut = {.data = tail.data, .len = len};

        CHECK(description_check(&early, &cut, NULL, NULL, &err) < 0, "cut at %zu: accepted", len);
    }
    buf_done(&early);
    buf_done(&tail);
}

static void counts_subsections(void **state)
{
    struct buf early = {0}, tail = {0};
    struct seen seen = {0};
    struct error err;

    (void)state;
    /* 4, then 05 08 "dev/more" u32 and 6, and inside it 05 0a "dev/more/x" u32 and 1. */
    section(&tail, 1, "dev", 4 + 2 + 8 + 4 + 6 + 2 + 10 + 4 + 1);
    description(&tail, "{\"devices\":[{\"name\":\"dev\",\"instance_id\":0,\"fields\":[" FIELD(
                           "4") "],"
                                "\"subsections\":[{\"vmsd_name\":\"dev/"
                                "more\",\"version\":1,\"fields\":[" FIELD(
                                    "6") "],\"subsections\":[{\"vmsd_name\":\"dev/more/"
                                         "x\",\"fields\":[" FIELD("1") "]}]}]}]}");
    OK(description_check(&early, &tail, note, &seen, &err), err, "subsections");
    CHECK(seen.n == 1 && seen.lens[0] == 41, "%llu bytes", (unsigned long long)seen.lens[0]);
    buf_done(&tail);
}

static void no_devices_at_all(void **state)
{
    struct buf early = {0}, tail = {0};
    struct error err;
    size_t json;

    (void)state;
    CHECK(!description_ends(&tail, &json), "nothing is no end");
    OK(description_append(&tail, NULL, &err), err, "append");
    CHECK(description_ends(&tail, &json) && json == 6, "its end is not seen");
    OK(description_check(&early, &tail, note, NULL, &err), err, "check");
    buf_done(&tail);
}

static const struct bad_case {
    const char *label, *json, *refused;
} bad_cases[] = {
    {"not JSON", "{devices}", "not JSON"},
    {"another name", DEVICES(DEVICE("tamer", FIELD("8"))), "'tamer', but another section is there"},
    {"a longer name", DEVICES(DEVICE("timers", FIELD("8"))),
     "'timers', but another section is there"},
    {"too short", DEVICES(DEVICE("timer", FIELD("7"))), "no footer after the 7 bytes"},
    {"too long", DEVICES(DEVICE("timer", FIELD("9"))), "no footer after the 9 bytes"},
    {"far too long", DEVICES(DEVICE("timer", FIELD("100000"))), "no footer after the 100000"},
    {"beyond all bounds", DEVICES(DEVICE("timer", FIELD("9223372036854775807"))), "absurd sizes"},
    {"sum overflows",
     DEVICES(DEVICE("timer", FIELD("9223372036854775807") "," FIELD("9223372036854775807"))),
     "absurd sizes"},
    {"array overflows", DEVICES(DEVICE("timer", ARRAY("4294967296", "4294967297"))),
     "absurd sizes"},
    {"negative size", DEVICES(DEVICE("timer", FIELD("-8"))), "absurd sizes"},
    {"negative array", DEVICES(DEVICE("timer", ARRAY("-4", "-2"))), "absurd sizes"},
    {"size is text", DEVICES(DEVICE("timer", FIELD("\"8\""))), "absurd sizes"},
    {"no name", DEVICES("{\"instance_id\":0,\"fields\":[" FIELD("8") "]}"), "without a name"},
    {"name is a number", DEVICES("{\"name\":7,\"fields\":[]}"), "without a name"},
    {"other instance",
     DEVICES("{\"name\":\"timer\",\"instance_id\":1,\"fields\":[" FIELD("8") "]}"),
     "instance 0, the description says 1"},
    {"one too few", DEVICES(""), "that the description does not list"},
    {"one too many", DEVICES(DEVICE("timer", FIELD("8")) "," DEVICE("cpu", FIELD("8"))),
     "'cpu', but another section is there"},
    {"no devices member", "{\"page_size\":4096}", "that the description does not list"},
    {"devices is no list", "{\"devices\":7}", "that the description does not list"},
    {"device is no object", "{\"devices\":[7]}", "without a name"},
    {"nested too deep", NULL, /* made by the test */
     "absurd sizes"},
};

static char *nested(int depth)
{
    char *json = malloc((size_t)depth * 80 + 400), *at = json;

    at += sprintf(at, "{\"devices\":[{\"name\":\"timer\",\"instance_id\":0,\"fields\":[]");
    for (int i = 0; i < depth; i++)
        at += sprintf(at, ",\"subsections\":[{\"vmsd_name\":\"x\"");
    for (int i = 0; i < depth; i++)
        at += sprintf(at, "}]");
    sprintf(at, "}]}");
    return json;
}

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct buf early = {0}, tail = {0};
        char *deep = c->json ? NULL : nested(500);
        struct error err;

        section(&tail, 2, "timer", 8);
        description(&tail, c->json ? c->json : deep);
        check_refused(c->label, description_check(&early, &tail, NULL, NULL, &err), &err, ERR_PEER,
                      c->refused);
        free(deep);
        buf_done(&tail);
    }
}

static void extra_early_section_is_refused(void **state)
{
    struct buf early = {0}, tail = {0};
    struct error err;

    (void)state;
    section(&early, 1, "first", 3);
    section(&tail, 2, "timer", 8);
    description(&tail, DEVICES(DEVICE("timer", FIELD("8"))));
    check_refused("early one not listed", description_check(&early, &tail, NULL, NULL, &err), &err,
                  ERR_PEER, "'timer', but another section is there");
    buf_done(&early);
    buf_done(&tail);
}

static void missing_description(void **state)
{
    struct buf early = {0}, tail = {0};
    struct error err;

    (void)state;
    check_refused("empty", description_check(&early, &tail, NULL, NULL, &err), &err, ERR_PEER,
                  "ends without its description (0x06)");
    section(&tail, 2, "timer", 8);
    OK(buf_append(&tail, "\0", 1, &err), err, "EOF");
    check_refused("EOF only", description_check(&early, &tail, NULL, NULL, &err), &err, ERR_PEER,
                  "ends without its description (0x06)");
    buf_done(&tail);
}

/* The end of a whole tail is found whatever follows it; half a tail has no end. */
static void finds_the_end(void **state)
{
    struct buf early = {0}, tail = {0};
    struct error err;
    size_t whole, end;

    (void)state;
    section(&tail, 2, "a", 8);
    description(&tail, DEVICES(DEVICE("b", FIELD("8")))); /* as bytes without meaning */
    CHECK(!description_find(&early, &tail, &end), "an end that is not true");
    tail.len = 0;
    section(&tail, 2, "a", 8);
    description(&tail, DEVICES(DEVICE("a", FIELD("8"))));
    whole = tail.len;
    for (size_t len = 0; len < whole; len++) {
        tail.len = len;
        CHECK(!description_find(&early, &tail, &end), "%zu of %zu bytes", len, whole);
    }
    tail.len = whole;
    CHECK(description_find(&early, &tail, &end) && end == whole, "the whole");
    description(&tail, DEVICES(DEVICE("b", FIELD("8"))));
    OK(buf_append(&tail, "}\0\6\0\0\0\2{}}", 11, &err), err, "what is behind");
    CHECK(description_find(&early, &tail, &end) && end == whole, "the first that is true");
    buf_done(&tail);
}

/* However many places could be the beginning of a description, each byte is read a few times
 * only. */
static void finds_none_in_time(void **state)
{
    static const char lead[] = "\0\6\0\x10\0\0{\"a\":[[[[ ";
    struct buf early = {0}, tail = {0};
    struct error err;
    size_t end;

    (void)state;
    while (tail.len < 6 << 20)
        OK(buf_append(&tail, lead, sizeof(lead) - 1, &err), err, "leads");
    memset(tail.data + (4 << 20), '}', 2 << 20);
    CHECK(!description_find(&early, &tail, &end), "found one");
    buf_done(&tail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_a_tail),
        cmocka_unit_test(counts_subsections),
        cmocka_unit_test(no_devices_at_all),
        cmocka_unit_test(refuses),
        cmocka_unit_test(extra_early_section_is_refused),
        cmocka_unit_test(missing_description),
        cmocka_unit_test(finds_the_end),
        cmocka_unit_test(finds_none_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
