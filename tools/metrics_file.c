#include "tools/metrics_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/thread.h"

#define EACH_MS 2000

struct metrics_file {
    /* Set before the thread starts. */
    char path[PATH_MAX];
    int (*write)(struct buf *to, struct error *err);
    struct cancel stop;
    struct thread thread;

    /* The thread's; after the join, the caller's. */
    struct buf text;
    struct error failure; /* the first; ERR_NONE: there was none */
};

/* Others may read it: the collector is another user. */
#define MODE (S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH)

static int fill(const struct metrics_file *f, const char *temp, int fd)
{
    if (fchmod(fd, MODE) < 0 || fd_pwrite_all(fd, f->text.data, f->text.len, 0) < 0)
        return -1;
    return rename(temp, f->path);
}

/* A name without the ending that the collector looks for. */
static int replace(const struct metrics_file *f, struct error *err)
{
    char temp[PATH_MAX + 16];

    snprintf(temp, sizeof(temp), "%s.XXXXXX", f->path);
    AUTO_FD int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "%s", f->path);
    if (fill(f, temp, fd) == 0)
        return 0;
    err_sys(err, "%s", f->path);
    unlink(temp);
    return -1;
}

static int write_once(struct metrics_file *f, struct error *err)
{
    f->text.len = 0;
    return f->write(&f->text, err) < 0 ? -1 : replace(f, err);
}

static void write_again(struct metrics_file *f)
{
    struct error err;

    if (write_once(f, &err) < 0 && f->failure.kind == ERR_NONE)
        f->failure = err;
}

static void *file_main(void *arg)
{
    struct metrics_file *f = arg;
    struct error over;

    do {
        bool slept = cancel_poll(&f->stop, -1, 0, deadline_in_ms(EACH_MS), &over) < 0 &&
                     over.sys == ETIMEDOUT;

        if (!slept)
            break;
        write_again(f);
    } while (true);
    return NULL;
}

static void file_free(struct metrics_file *f)
{
    cancel_done(&f->stop);
    buf_done(&f->text);
    free(f);
}

int metrics_file_start(const char *path, int (*write)(struct buf *to, struct error *err),
                       struct metrics_file **ret, struct error *err)
{
    struct metrics_file *f = calloc(1, sizeof(*f));

    if (!f)
        return err_sys(err, "memory for a file of metrics");
    f->write = write;
    f->stop.fd = -1;
    if (snprintf(f->path, sizeof(f->path), "%s", path) >= PATH_MAX)
        err_set(err, ERR_USAGE, "%.100s: the path is too long", path);
    else if (cancel_init(&f->stop, err) == 0 && write_once(f, err) == 0 &&
             thread_start(&f->thread, file_main, f, err, "metrics") == 0) {
        *ret = f;
        return 0;
    }
    file_free(f);
    return -1;
}

int metrics_file_stop(struct metrics_file *f, struct error *err)
{
    if (!f)
        return 0;
    cancel_request(&f->stop);
    thread_join(&f->thread);
    write_again(f);
    bool failed = f->failure.kind != ERR_NONE;
    if (failed)
        *err = f->failure;
    file_free(f);
    return failed ? -1 : 0;
}
