#include "tools/output.h"

#include <errno.h>
#include <stdio.h>

#include "control/json_memory.h"

int output_no_memory(struct error *err)
{
    errno = ENOMEM;
    return err_sys(err, "memory for JSON");
}

int output_has_memory(struct error *err)
{
    return json_memory_ran_out() ? output_no_memory(err) : 0;
}

static int report_error(struct error *err)
{
    err->kind = ERR_REPORT;
    return -1;
}

int output_flush(struct error *err)
{
    if (fflush(stdout) != 0)
        err_sys(err, "standard output");
    else if (ferror(stdout)) /* stdio does not keep why */
        err_set(err, ERR_REPORT, "standard output: not all of it was written");
    else
        return 0;
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

int output_lost(struct error *err, const char *done)
{
    err_in(err, "%s, but the report is lost", done);
    return report_error(err);
}
