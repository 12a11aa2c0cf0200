#include "base/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#define PIECE 16384

struct child {
    pid_t pid;
    int out, complaints; /* its pipes, our ends; -1: closed */
    char *text;
    size_t len, room;
    char complaint[CHILD_COMPLAINT];
    size_t complaint_len;
};

/* --- start ----------------------------------------------------------------------------------- */

/* No signal is ignored or blocked there, though they may be so here. */
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    /* A session of its own: no terminal to ask a user for a password, and no Ctrl-C from it. */
    return posix_spawnattr_setflags(
        attributes, (short)(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
}

static int spawn(struct child *c, char *const argv[], int out, int complaints)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&files);

    if (rc)
        return rc;
    if ((rc = posix_spawnattr_init(&attributes)) == 0) {
        rc = set_signals(&attributes);
        if (rc == 0)
            rc = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (rc == 0)
            rc = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
        if (rc == 0)
            rc = posix_spawn_file_actions_adddup2(&files, complaints, STDERR_FILENO);
        if (rc == 0)
            rc = posix_spawnp(&c->pid, argv[0], &files, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

static int start(struct child *c, char *const argv[], struct error *err)
{
    int out[2], complaints[2];

    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(err, "a pipe to %s", argv[0]);
    c->out = out[0];
    if (pipe2(complaints, O_CLOEXEC) < 0) {
        close(out[1]);
        return err_sys(err, "a pipe to %s", argv[0]);
    }
    c->complaints = complaints[0];
    int rc = spawn(c, argv, out[1], complaints[1]);
    close(out[1]);
    close(complaints[1]);
    errno = rc;
    return rc ? err_sys(err, "%s", argv[0]) : 0;
}

/* --- what it prints -------------------------------------------------------------------------- */

/* One more piece, and a terminator, fit then. */
static int make_room(struct child *c, struct error *err)
{
    if (c->room - c->len > PIECE)
        return 0;
    size_t room = (c->room + PIECE) * 2;
    char *text = realloc(c->text, room);

    if (!text) {
        err_sys(err, "memory for what another program prints");
        return -1;
    }
    c->text = text;
    c->room = room;
    return 0;
}

/* Closes *fd at the end of what comes there. */
static ssize_t take(int *fd, char *to, size_t room)
{
    ssize_t n;

    do {
        n = read(*fd, to, room);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        fd_close(fd);
    return n;
}

static int take_output(struct child *c, const char *name, size_t most, struct error *err)
{
    if (make_room(c, err) < 0)
        return -1;
    ssize_t n = take(&c->out, c->text + c->len, PIECE);
    c->len += n > 0 ? (size_t)n : 0;
    return c->len > most ? err_set(err, ERR_PEER, "%s prints more than %zu bytes", name, most) : 0;
}

/* What does not fit is read and dropped: it must not wait for us. */
static void take_complaint(struct child *c)
{
    char rest[PIECE];
    size_t room = CHILD_COMPLAINT - 1 - c->complaint_len;

    if (!room) {
        take(&c->complaints, rest, sizeof(rest));
        return;
    }
    ssize_t n = take(&c->complaints, c->complaint + c->complaint_len, room);
    c->complaint_len += n > 0 ? (size_t)n : 0;
}

static int wait_for(const struct child *c, const struct cancel *cancel, uint64_t deadline,
                    short ret_events[2], struct error *err)
{
    struct pollfd fds[3] = {{.fd = c->out, .events = POLLIN},
                            {.fd = c->complaints, .events = POLLIN},
                            {.fd = cancel->fd, .events = POLLIN}};
    int rc;

    do {
        rc = poll(fds, 3, deadline_poll_ms(deadline));
    } while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return err_sys(err, "waiting for another program");
    if (cancel_requested(cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (rc == 0 || clock_ns() >= deadline) {
        errno = ETIMEDOUT;
        return err_sys(err, "gave up waiting");
    }
    ret_events[0] = fds[0].revents;
    ret_events[1] = fds[1].revents;
    return 0;
}

static int listen_to(struct child *c, const char *name, size_t most, const struct cancel *cancel,
                     uint64_t deadline, struct error *err)
{
    short events[2] = {0, 0};

    while (c->out >= 0 || c->complaints >= 0) {
        if (wait_for(c, cancel, deadline, events, err) < 0)
            return err_in(err, "%s", name);
        if (events[0] && take_output(c, name, most, err) < 0)
            return -1;
        if (events[1])
            take_complaint(c);
    }
    return 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

/* It has said all that it has to say, or nobody listens any more. */
static void end(struct child *c)
{
    fd_close(&c->out);
    fd_close(&c->complaints);
    if (c->pid <= 0)
        return;
    kill(-c->pid, SIGKILL);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int child_run(char *const argv[], size_t most, uint64_t deadline, const struct cancel *cancel,
              struct child_output *ret, struct error *err)
{
    struct child c = {.out = -1, .complaints = -1};
    int rc = start(&c, argv, err);

    if (rc == 0)
        rc = listen_to(&c, argv[0], most, cancel, deadline, err);
    end(&c);
    if (rc != 0 || make_room(&c, err) < 0) {
        free(c.text);
        return -1;
    }
    c.text[c.len] = 0;
    *ret = (struct child_output){.text = c.text, .len = c.len};
    memcpy(ret->complaint, c.complaint, sizeof(c.complaint));
    return 0;
}
