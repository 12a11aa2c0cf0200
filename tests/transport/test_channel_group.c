#include "transport/channel_group.h"

#include <unistd.h>

#include "base/clock.h"
#include "tests/support/bytes_channel.h"
#include "tests/support/test.h"

static struct channel_group group;

static int setup(void **state)
{
    struct error err;

    (void)state;
    return channel_group_init(&group, 0, &err);
}

static int teardown(void **state)
{
    (void)state;
    channel_group_done(&group);
    return 0;
}

static void fail_with(const char *text)
{
    struct error err;

    err_set(&err, ERR_PEER, "%s", text);
    assert_int_equal(channel_group_fail(&group, &err), -1);
}

static void first_error_stands(void **state)
{
    struct error err;

    (void)state;
    OK(channel_group_check(&group, &err), err, "nothing failed");
    fail_with("first");
    fail_with("second");
    check_refused("after both", channel_group_check(&group, &err), &err, ERR_PEER, "first");
    CHECK(cancel_requested(&group.cancel), "waits in poll are not told");
}

struct receiver {
    struct channel *channel;
    int rc;
    struct error err;
};

static void *receive(void *arg)
{
    struct receiver *r = arg;
    char byte;
    struct iovec iov = {&byte, 1};
    size_t len;

    r->rc = channel_recvv(r->channel, &iov, 1, 1, CHANNEL_MAY_IDLE, &len, &r->err);
    return NULL;
}

static void failure_wakes_everyone(void **state)
{
    struct receiver r[2];
    pthread_t threads[2];
    int peers[2];
    struct error err;

    (void)state;
    for (int i = 0; i < 2; i++) {
        r[i].channel = channel_and_fd(0, &peers[i]);
        OK(channel_group_add(&group, r[i].channel, &err), err, "add");
        pthread_create(&threads[i], NULL, receive, &r[i]);
    }
    fail_with("somebody");
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        check_refused("a member", r[i].rc, &r[i].err, ERR_CANCELLED, "interrupted");
        channel_group_drop(&group, r[i].channel);
        close(peers[i]);
    }
}

static void late_member_is_interrupted_at_once(void **state)
{
    struct receiver r;
    struct error err;
    int peer;

    (void)state;
    fail_with("before");
    r.channel = channel_and_fd(0, &peer);
    OK(channel_group_add(&group, r.channel, &err), err, "add");
    receive(&r);
    check_refused("late member", r.rc, &r.err, ERR_CANCELLED, "interrupted");
    channel_group_drop(&group, r.channel);
    close(peer);
}

static void removed_member_is_left_alone(void **state)
{
    struct receiver r;
    struct error err;
    int peer;

    (void)state;
    r.channel = channel_and_fd(0, &peer);
    OK(channel_group_add(&group, r.channel, &err), err, "add");
    channel_group_remove(&group, r.channel);
    fail_with("without it");
    CHECK(write(peer, "x", 1) == 1, "write to it");
    receive(&r);
    OK(r.rc, r.err, "still works");
    channel_free(r.channel);
    close(peer);
}

static void bad_farewell(void *arg, const struct error *err)
{
    int *n = arg;

    CHECK(strcmp(err->text, "the reason") == 0, "told '%s'", err->text);
    CHECK(!cancel_requested(&group.cancel), "told too late");
    ++*n;
}

static void farewell_is_said_once_and_first(void **state)
{
    int n = 0;

    (void)state;
    group.farewell = bad_farewell;
    group.farewell_arg = &n;
    fail_with("the reason");
    fail_with("another");
    assert_int_equal(n, 1);
}

static void wait_ends(void **state)
{
    (void)state;
    pthread_mutex_lock(&group.lock);
    CHECK(!channel_group_wait(&group, 1), "a deadline behind us");
    CHECK(!channel_group_wait(&group, deadline_in_ms(2)), "a deadline ahead");
    pthread_mutex_unlock(&group.lock);
}

static void number_is_limited(void **state)
{
    int peer;
    struct channel *c = channel_and_fd(0, &peer);
    struct error err;

    (void)state;
    for (size_t i = 0; i < CHANNEL_GROUP_MAX; i++)
        OK(channel_group_add(&group, c, &err), err, "add");
    check_refused("one too many", channel_group_add(&group, c, &err), &err, ERR_PEER,
                  "more than 512 connections");
    channel_free(c);
    close(peer);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_error_stands),
        TEST(failure_wakes_everyone),
        TEST(late_member_is_interrupted_at_once),
        TEST(removed_member_is_left_alone),
        TEST(farewell_is_said_once_and_first),
        TEST(wait_ends),
        TEST(number_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
