/*
 * tests/support/test.h: what every unit test starts with.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/macros.h"
#include "tools/remedy.h"

/*
 * The limit for waits. It only ends waits that would never end: a busy machine may be many times
 * slower than an idle one, and that is no failure.
 */
#define HANG_MS 300000

/* Fails the test if !cond, with a message: the case's label, then what was found. */
#define CHECK(cond, ...)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            print_error("%s:%d: %s\n", __FILE__, __LINE__, #cond);                                 \
            fail_msg(__VA_ARGS__);                                                                 \
        }                                                                                          \
    } while (0)

/* For a call that must succeed; on failure `err` says why. */
#define OK(call, err, label) CHECK((call) == 0, "%s: %s", label, (err).text)

/* Whether the error's line, as ramjet prints it, holds `part`. */
static inline bool says(const struct error *err, const char *part)
{
    char line[ERR_LINE_LEN];

    error_line(err, line);
    return strstr(line, part) != NULL;
}

/* Checks that the call failed (rc) with an error of this kind whose line holds `part`. */
static inline void check_refused(const char *label, int rc, const struct error *err,
                                 enum err_kind kind, const char *part)
{
    char line[ERR_LINE_LEN];

    CHECK(rc == -1, "%s: passed, expected an error with '%s'", label, part);
    CHECK(err->kind == kind, "%s: error kind %d, expected %d: %s", label, err->kind, kind,
          err->text);
    error_line(err, line);
    CHECK(strstr(line, part), "%s: expected '%s' in: %s", label, part, line);
    CHECK(!strchr(line, '\n'), "%s: more than one line: %s", label, line);
}

/* Whether this runs in scripts/lab. There a page that a guest writes costs many times as much, so
 * that tests do fewer rounds. */
static inline bool is_in_lab(void)
{
    return getenv("RAMJET_IN_LAB") != NULL;
}

/* Ends the whole program as skipped: this machine does not have what it needs. */
static inline _Noreturn void skip_all(const char *why)
{
    printf("skipped: %s\n", why);
    exit(77);
}
