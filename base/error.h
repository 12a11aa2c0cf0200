/*
 * base/error.h: what went wrong, as one object that every layer adds its own context to.
 *
 * Libraries fill the caller's error and return -1; only programs print. `err` is never NULL and
 * nothing here allocates. An error belongs to one thread at a time. Whatever goes into a text comes
 * out printable (base/printable.h): it may be a peer's, a file's or a user's.
 */
#pragma once

#include <stddef.h>

#include "base/macros.h"

enum err_kind {
    ERR_NONE,
    ERR_USAGE,     /* the user asked for something that cannot be */
    ERR_SYSTEM,    /* the kernel or a library refused; `sys` says why */
    ERR_PEER,      /* the other end, or a file, holds or sent what it must not */
    ERR_CANCELLED, /* somebody asked us to stop */
    ERR_REPORT,    /* what was to be done is done; what tells of it has failed */
};

struct error {
    enum err_kind kind;
    int sys;        /* errno, or 0 */
    char text[512]; /* what a person reads: one line, cut if longer */
};

/* All of these return -1, so that a failing path is one statement. */
int err_set(struct error *err, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);
/* Takes errno as it is at the call and puts its text behind the message. */
int err_sys(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* The same for a thread that could not be started: its EAGAIN is a limit's. */
int err_thread(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* Puts context in front of an error that is already set: "channel 3: …". */
int err_in(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* Puts more text behind an error that is already set; no separator is added. */
int err_add(struct error *err, const char *fmt, ...) PRINTF(2, 3);

#define ERR_REASON_LEN 256
/*
 * An errno in words. Takes it negated, too. A number that this system has no name for stays a
 * number, and 0 is no "Success" where something failed.
 */
void err_name(int sys, char ret[static ERR_REASON_LEN]);
/* The same of this process: a limit's with its name, and how it is raised. */
void err_reason(int sys, char ret[static ERR_REASON_LEN]);
