#include "tools/output.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int report_error(struct error *err)
{
    err->kind = ERR_REPORT;
    return -1;
}

int output_flush(struct error *err)
{
    bool failed = fflush(stdout) != 0;

    if (!failed && !ferror(stdout))
        return 0;
    /* An earlier write has failed, and stdio does not keep the reason: one more tells it. */
    if (failed || write(STDOUT_FILENO, "\n", 1) < 0)
        err_sys(err, "standard output");
    else
        err_set(err, ERR_REPORT, "standard output: not all of it was written");
    return report_error(err);
}

int output_close(struct error *err)
{
    if (output_flush(err) < 0)
        return -1;
    if (fclose(stdout) == 0)
        return 0;
    err_sys(err, "standard output");
    return report_error(err);
}

static bool is_at(const struct address *at, int fd)
{
    struct stat there, here;

    if (at->scheme == ADDRESS_FD ? fstat(at->fd, &there) < 0
                                 : at->scheme != ADDRESS_FILE || stat(at->file, &there) < 0)
        return false;
    return fstat(fd, &here) == 0 && there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

int output_is_apart(const struct address *at, struct error *err)
{
    const char *what = is_at(at, STDOUT_FILENO)   ? "standard output"
                       : is_at(at, STDERR_FILENO) ? "standard error"
                                                  : NULL;

    if (!what)
        return 0;
    return err_set(err, ERR_USAGE,
                   "%s: %s goes there too, and would get into the stream: redirect it", at->text,
                   what);
}

int output_lost(struct error *err, const char *done)
{
    err_in(err, "%s, but the report is lost", done);
    return report_error(err);
}
