#include "base/child.h"

#include <errno.h>

#include "base/clock.h"
#include "tests/support/test.h"

static const struct cancel never = {.fd = -1};

static int run(const char *script, size_t most, uint64_t deadline, const struct cancel *cancel,
               struct child_output *ret, struct error *err)
{
    char shell[] = "sh", command[] = "-c";
    char *words = strdup(script);
    char *const argv[] = {shell, command, words, NULL};
    int rc = child_run(argv, most, deadline, cancel, ret, err);

    free(words);
    return rc;
}

static const struct output_case {
    const char *script, *text, *complaint;
} output_cases[] = {
    {"true", "", ""},
    {"printf abc", "abc", ""},
    {"printf abc >&2; exit 7", "", "abc"},
    {"printf a; printf b >&2; printf c", "ac", "b"},
    {"cat", "", ""}, /* its input is empty */
    {"exec >&- 2>&-; sleep 1000", "", ""},
    {"kill -INT $$; printf no", "", ""}, /* no signal is ignored there */
    {"(: < /dev/tty) 2> /dev/null && printf terminal || printf none", "none", ""},
};

static void outputs(void **state)
{
    uint64_t deadline = deadline_in_ms(HANG_MS);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(output_cases); i++) {
        const struct output_case *c = &output_cases[i];
        struct child_output out;
        struct error err;

        OK(run(c->script, 1000, deadline, &never, &out, &err), err, c->script);
        CHECK(strcmp(out.text, c->text) == 0 && out.len == strlen(c->text), "%s: '%s'", c->script,
              out.text);
        CHECK(strcmp(out.complaint, c->complaint) == 0, "%s: '%s'", c->script, out.complaint);
        free(out.text);
    }
}

/* Many pieces; and more complaints than are kept, which it must not wait with. */
static void much(void **state)
{
    struct child_output out;
    struct error err;

    (void)state;
    OK(run("head -c 300000 /dev/zero | tr '\\0' e >&2; head -c 300000 /dev/zero | tr '\\0' x",
           300000, deadline_in_ms(HANG_MS), &never, &out, &err),
       err, "much");
    CHECK(out.len == 300000 && strspn(out.text, "x") == out.len, "%zu bytes", out.len);
    CHECK(strspn(out.complaint, "e") == CHILD_COMPLAINT - 1, "'%s'", out.complaint);
    free(out.text);
}

static void fails(void **state)
{
    char nothing[] = "/nowhere/program";
    char *const argv[] = {nothing, NULL};
    struct child_output out = {0};
    struct cancel cancel;
    struct error err;

    (void)state;
    check_refused("none", child_run(argv, 1, DEADLINE_NEVER, &never, &out, &err), &err, ERR_SYSTEM,
                  "/nowhere/program: No such file");
    CHECK(err.sys == ENOENT, "errno %d", err.sys);
    check_refused("too much", run("cat /dev/zero", 5000, DEADLINE_NEVER, &never, &out, &err), &err,
                  ERR_PEER, "more than 5000 bytes");
    check_refused("one byte too much", run("printf abc", 2, DEADLINE_NEVER, &never, &out, &err),
                  &err, ERR_PEER, "more than 2 bytes");
    check_refused("silence", run("sleep 1000 & wait", 1, deadline_in_ms(50), &never, &out, &err),
                  &err, ERR_SYSTEM, "sh: gave up waiting");
    CHECK(err.sys == ETIMEDOUT, "errno %d", err.sys);
    OK(cancel_init(&cancel, &err), err, "cancel");
    cancel_request(&cancel);
    check_refused("cancelled", run("sleep 1000", 1, DEADLINE_NEVER, &cancel, &out, &err), &err,
                  ERR_CANCELLED, "cancelled");
    cancel_done(&cancel);
    CHECK(!out.text, "an output after a failure");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs),
        cmocka_unit_test(much),
        cmocka_unit_test(fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
