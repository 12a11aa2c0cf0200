#include "tools/linger.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

#define STACK_BYTES 16384

/* The sanitizer mistakes a process that shares our memory for one with a copy of it. */
#ifdef __SANITIZE_THREAD__
#define CAN_LINGER false
#else
#define CAN_LINGER true
#endif

struct lingerer {
    int pipe[2];         /* the exec closes the second end */
    _Atomic pid_t there; /* set by the kernel; 0 after the process has gone */
    _Alignas(64) char middle_stack[STACK_BYTES];
    _Alignas(64) char stack[STACK_BYTES];
};

/*
 * For functions that run in processes that share our memory, thread-local memory included: they
 * call nothing that keeps state there, and the sanitizers do not know their stacks.
 */
#define BARE __attribute__((no_sanitize("address", "thread", "undefined"), noinline))

/* Waits until the pipe's other end is closed: the exec is done, or was given up. */
BARE static int linger(void *arg)
{
    const struct lingerer *l = arg;
    char byte;

    syscall(SYS_read, l->pipe[0], &byte, 1L);
    syscall(SYS_exit, 0L);
    return 0;
}

/*
 * The process in the middle: it exits at once, so that the one that stays is not our child and we
 * need not wait for it. It has a copy of our descriptors and closes all but the pipe's end: an open
 * socket would keep the next program from listening on it.
 */
BARE static int leave_one(void *arg)
{
    struct lingerer *l = arg;
    unsigned long kept = (unsigned long)l->pipe[0];

    syscall(SYS_close_range, 0UL, kept - 1, 0L);
    syscall(SYS_close_range, kept + 1, (unsigned long)UINT32_MAX, 0L);
    /* The process exists when this returns, whether or not it has run yet. */
    clone(linger, l->stack + STACK_BYTES, CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, l,
          &l->there, NULL, &l->there);
    syscall(SYS_exit, 0L);
    return 0;
}

/* The pipe's ends are above the standard descriptors: leave_one() needs a range below to close. */
static int make_pipe(struct lingerer *l)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        l->pipe[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        fd_close(&fds[i]);
    }
    return l->pipe[0] < 0 || l->pipe[1] < 0 ? -1 : 0;
}

static void free_lingerer(struct lingerer *l)
{
    fd_close(&l->pipe[0]);
    fd_close(&l->pipe[1]);
    free(l);
}

struct lingerer *linger_start(void)
{
    struct lingerer *l = CAN_LINGER ? calloc(1, sizeof(*l)) : NULL;

    if (!l)
        return NULL;
    l->pipe[0] = l->pipe[1] = -1;
    /* CLONE_VFORK: this thread continues when the process in the middle has gone. */
    pid_t middle = make_pipe(l) < 0
                       ? -1
                       : clone(leave_one, l->middle_stack + STACK_BYTES, CLONE_VM | CLONE_VFORK, l);
    if (middle > 0)
        waitpid(middle, NULL, __WALL);
    if (!atomic_load(&l->there)) {
        free_lingerer(l);
        return NULL;
    }
    return l;
}

void linger_reap(void)
{
    while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
        ;
}

void linger_stop(struct lingerer *l)
{
    pid_t there;

    if (!l)
        return;
    fd_close(&l->pipe[1]);
    while ((there = atomic_load(&l->there)))
        syscall(SYS_futex, &l->there, FUTEX_WAIT, there, NULL, NULL, 0);
    free_lingerer(l);
}
